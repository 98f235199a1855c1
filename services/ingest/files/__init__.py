"""Finding, watching and reading files, and telling them apart."""
