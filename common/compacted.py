"""Reading a topic that holds a state, from a place to its end."""

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
