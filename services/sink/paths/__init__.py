"""A category's path below OUTPUT_DIR, and back. Pure."""
