"""Clients, topics read and written, offsets, transactions."""
