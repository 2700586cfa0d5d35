"""The demo: four containers with troubles, an agent that sees to them, and what it does as a subscriber sees it."""
