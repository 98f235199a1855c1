"""Reading topics from an offset to their end."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from common.aiokafka_internals.fetched_batches import read_on, runs_of
from common.aiokafka_internals.offset_requests import find_written_end
from common.batches.record_runs import Record, one_by_one

_TIMEOUT_MS = 200
# A new leader's end may lag for a moment.
_END_PATIENCE_S = 10.0
_END_INTERVAL_S = 0.5


async def find_end(consumer: AIOKafkaConsumer, partition: TopicPartition, expected: int) -> int:
    """The partition's end. If it is before `expected`, waits up to 10 s for one that is not."""
    deadline = asyncio.get_running_loop().time() + _END_PATIENCE_S
    while True:
        end = int((await consumer.end_offsets([partition]))[partition])
        if end >= expected or asyncio.get_running_loop().time() > deadline:
            return end
        await asyncio.sleep(_END_INTERVAL_S)


async def read_to_end(consumer: AIOKafkaConsumer, *partitions: TopicPartition) -> AsyncIterator[Record]:
    """The records that the consumer may see, from its positions to the partitions' present ends."""
    ends = await consumer.end_offsets(partitions)
    async for record in read_to(consumer, ends):
        yield record


async def read_all_written(consumer: AIOKafkaConsumer, partition: TopicPartition) -> AsyncIterator[Record]:
    """The committed records from its position to the end of what is written now, once every transaction there ends."""
    # Behind the open transaction of another producer there may be records that are committed long since.
    async for record in read_to(consumer, {partition: await find_written_end(consumer, partition)}):
        yield record


async def read_to(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> AsyncIterator[Record]:
    """The records that the consumer may see, from its positions to these ends."""
    for partition in ends:
        # Compare the position, not the last record's offset: a transaction marker takes an offset and is never handed
        # out.
        while await consumer.position(partition) < ends[partition]:
            # One batch at a time: an hour of records that are not compacted yet must not be in memory together.
            for record in one_by_one(runs_of(await read_on(consumer, partition, _TIMEOUT_MS))):
                yield record


async def read_until(
    consumer: AIOKafkaConsumer, partition: TopicPartition, end: int
) -> AsyncIterator[Sequence[Record]]:
    """The records from the partition's beginning to that offset, one fetch at a time. This reassigns the consumer."""
    consumer.assign([partition])
    consumer.seek(partition, (await consumer.beginning_offsets([partition]))[partition])
    while await consumer.position(partition) < end:
        batches = await read_on(consumer, partition, _TIMEOUT_MS)
        yield [record for record in one_by_one(runs_of(batches)) if record.offset < end]
