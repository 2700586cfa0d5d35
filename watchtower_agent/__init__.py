"""Event-driven engine monitor and healing agent for Docker hosts."""

__version__ = "0.1.0"
