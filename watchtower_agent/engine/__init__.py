"""The engine: the only room that speaks to it."""
