"""Which files INPUT names, and which file is which source. Pure."""
