"""The one picture of this host: containers, engine, newest samples; who did what to them. Pure."""
