"""What more than one service uses: lifecycle, Kafka clients, transactions, topics, records, settings, log."""
