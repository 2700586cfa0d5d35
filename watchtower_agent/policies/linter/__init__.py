"""The linter: policies that are well-formed and yet can't do what they are for. Pure."""
