"""What policies say that look at their target all the time: as loaded and checked. Pure."""
