"""Reading topics from a place to their end."""

from collections.abc import AsyncIterator, Collection, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

# Of small ones at once: what is read of a topic that was not compacted for an hour must not be in memory as a whole.
_MAX_RECORDS = 1_000


async def read_to_end(consumer: AIOKafkaConsumer, *partitions: TopicPartition) -> AsyncIterator[ConsumerRecord]:
    """The committed records from the consumer's positions to the ends as they are now."""
    # Asked for all at once: each question waits behind a fetch that waits for records.
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        # The position, not the last record: what ends a transaction takes an offset and is never handed out.
        while await consumer.position(partition) < ends[partition]:
            fetched = await consumer.getmany(partition, timeout_ms=200, max_records=_MAX_RECORDS)
            for record in fetched.get(partition, ()):
                yield record


async def read_until(
    consumer: AIOKafkaConsumer, partition: TopicPartition, end: int
) -> AsyncIterator[Sequence[ConsumerRecord]]:
    """The committed records from the partition's beginning to that offset, a fetch at a time."""
    consumer.assign([partition])
    consumer.seek(partition, (await consumer.beginning_offsets([partition]))[partition])
    while await consumer.position(partition) < end:
        fetched = await consumer.getmany(partition, timeout_ms=200)
        yield [record for record in fetched.get(partition, []) if record.offset < end]


async def holds_records(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> bool:
    """Whether any of these partitions holds a committed record; the consumer is assigned to them by this."""
    consumer.assign(list(partitions))
    beginnings = await consumer.beginning_offsets(list(partitions))
    ends = await consumer.end_offsets(list(partitions))
    for partition in partitions:
        consumer.seek(partition, beginnings[partition])
    for partition in partitions:
        while await consumer.position(partition) < ends[partition]:
            if (await consumer.getmany(partition, timeout_ms=200)).get(partition):
                return True
    return False
