"""Rows counted by source as they are appended, and the shares of all partitions joined to a receipt. Pure."""
