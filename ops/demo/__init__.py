"""`nacre demo`: rows through a real Kafka into one CSV per category, shown and proved."""
