"""The world in: one file per subject that is sampled."""
