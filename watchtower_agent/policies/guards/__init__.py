"""Guards: what stops a decision. `order` asks them; each family has a module, and none knows of another. Pure."""
