"""Kafka records in, Kafka records keyed by category out."""
