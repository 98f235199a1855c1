"""What of a partition is safely on disk, and what its files were made from."""
