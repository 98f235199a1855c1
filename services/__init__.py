"""The three services: ingest, split and sink. They meet only at Kafka topics."""
