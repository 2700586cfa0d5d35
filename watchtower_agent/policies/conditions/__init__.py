"""What `when` and `where` say: text in, a checked tree out, and its truth for one container in one moment."""
