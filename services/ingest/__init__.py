"""CSV files in, Kafka records out."""
