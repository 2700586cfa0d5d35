"""Event-driven engine monitor and healing agent for Docker hosts."""
