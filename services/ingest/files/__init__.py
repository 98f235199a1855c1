"""Files found, watched and read, and told from one another."""
