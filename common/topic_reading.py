"""Reading topics from a place to their end."""

from collections.abc import AsyncIterator, Collection, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition


async def read_to_end(consumer: AIOKafkaConsumer, *partitions: TopicPartition) -> list[ConsumerRecord]:
    """The committed records from the consumer's positions to the ends as they are now."""
    # Asked for all at once: each question waits behind a fetch that waits for records.
    ends = await consumer.end_offsets(partitions)
    records: list[ConsumerRecord] = []
    for partition in partitions:
        # The position, not the last record: what ends a transaction takes an offset and is never handed out.
        while await consumer.position(partition) < ends[partition]:
            fetched = await consumer.getmany(partition, timeout_ms=200)
            records += fetched.get(partition, [])
    return records


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
