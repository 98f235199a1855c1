"""Shares and receipts on their way to Kafka and into files."""
