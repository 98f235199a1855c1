"""Reading topics from a place to their end."""

from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition


async def read_to_end(consumer: AIOKafkaConsumer, partition: TopicPartition) -> list[ConsumerRecord]:
    """The committed records from the consumer's position to the end as it is now."""
    end = (await consumer.end_offsets([partition]))[partition]
    records: list[ConsumerRecord] = []
    # The position, not the last record: what ends a transaction takes an offset and is never handed out.
    while await consumer.position(partition) < end:
        fetched = await consumer.getmany(partition, timeout_ms=200)
        records += fetched.get(partition, [])
    return records


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
