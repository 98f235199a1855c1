"""What an error of the broker or its client means: whether waiting mends it, and what a person can do."""
