"""Event-driven engine monitor and autoscaling agent for Docker hosts."""

__version__ = "0.1.0"
