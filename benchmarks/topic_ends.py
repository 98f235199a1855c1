"""How far topics are written, as a benchmark watches it."""

from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition

from ops.kafka.local import LocalKafka


def end_of(kafka: LocalKafka, topic: str, partitions: int) -> Callable[[], int]:
    """Ask, each time it is called, how many records, with what ends transactions, are committed in a topic."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "none", "isolation.level": "read_committed"})
    # Until it has asked for a topic, it knows none of its partitions.
    consumer.list_topics(topic, timeout=10)
    all_partitions = [TopicPartition(topic, number) for number in range(partitions)]
    return lambda: sum(consumer.get_watermark_offsets(each, timeout=10)[1] for each in all_partitions)
