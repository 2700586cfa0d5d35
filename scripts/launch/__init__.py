"""What `scripts/run` does: finds or starts an engine and a broker, runs the agent or the demo, ends all in order.

Needs nothing but Python itself: the virtual environment is made here.
"""
