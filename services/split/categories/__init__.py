"""Rows to categories: splits, their columns, labels and routes. Pure."""
