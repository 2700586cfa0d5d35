"""Vertical scaling: what a container used in, which limits it should have out, with every number. Pure."""
