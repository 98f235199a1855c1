"""CSV rows and their schema: compiled, with a plain twin. Pure."""
