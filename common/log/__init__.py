"""What the services log, and which repeated lines they leave out."""
