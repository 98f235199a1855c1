"""When a file is finished, and how it gets its final name."""
