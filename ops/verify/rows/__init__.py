"""Rows, their categories and the names of their files, read anew from bytes alone. Pure."""
