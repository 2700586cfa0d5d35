"""What may be deleted from an engine's disk, in which order, and when to stop. Pure."""
