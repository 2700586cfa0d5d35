"""The command line: runs the agent, checks its configuration, and asks a running one. Nothing else imports it."""
