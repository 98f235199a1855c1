"""Which partition a key belongs to."""

from aiokafka.partitioner import murmur2  # noqa: TID251 - a function of bytes


def partition_for(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key (murmur2)."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions) if partitions > 1 else 0
