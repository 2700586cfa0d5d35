"""Horizontal scaling: what is seen of a service in, how many replicas it should have out, with every number. Pure."""
