"""What the services log, and what they leave out because it was just said."""
