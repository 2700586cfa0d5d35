"""Policy files in: YAML becomes a document, a document becomes policies, and every mistake is said where it stands."""
