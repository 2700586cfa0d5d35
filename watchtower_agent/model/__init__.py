"""Frozen values in the words of the field. No I/O, no clock, nothing of ours outside this room."""
