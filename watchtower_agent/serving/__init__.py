"""What others ask of a running agent."""
