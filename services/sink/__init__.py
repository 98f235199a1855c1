"""Kafka records keyed by category in, one CSV file per category out."""
