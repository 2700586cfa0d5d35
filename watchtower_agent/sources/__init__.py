"""Metrics from outside this host: what others publish over MQTT, what is asked for over HTTP, and sibling agents."""
