"""A host in simulated time: containers that fail, people, an engine that goes, and the agent's real core among them."""
