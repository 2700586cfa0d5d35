"""The world out: one file per verb."""
