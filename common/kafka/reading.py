"""Reading topics from an offset to their end."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition

from common.aiokafka_internals.fetched_batches import read_on, runs_of
from common.aiokafka_internals.offset_requests import find_written_end
from common.batches.record_runs import Record, one_by_one

_TIMEOUT_MS = 200
# A new leader's end may lag for a moment, and so may the end of what is committed: until the replicas have the marker.
_END_PATIENCE_S = 10.0
_END_INTERVAL_S = 0.1


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
    consumer: AIOKafkaConsumer, partition: TopicPartition, end: int, *, silence_s: float | None = None
) -> AsyncIterator[Sequence[Record]]:
    """The records from the partition's beginning to that offset, one fetch at a time. This reassigns the consumer.

    TimeoutError once nothing has come for `silence_s`: aiokafka only logs that fetches fail, and fetches again.
    """
    consumer.assign([partition])
    consumer.seek(partition, (await consumer.beginning_offsets([partition]))[partition])
    known, silent_s = -1, 0.0
    while (position := await consumer.position(partition)) < end:
        if position > known:
            known, silent_s = position, 0.0
        elif silence_s is not None and silent_s >= silence_s:
            where = f"topic {partition.topic}, partition {partition.partition}"
            raise TimeoutError(f"{where}: nothing has come for {silence_s:g} s, at offset {position} of {end}")
        began_s = monotonic()
        batches = await read_on(consumer, partition, _TIMEOUT_MS)
        # At most the timeout: while Ctrl-Z stops this process, the broker is not silent.
        silent_s += min(monotonic() - began_s, _TIMEOUT_MS / 1000)
        yield [record for record in one_by_one(runs_of(batches)) if record.offset < end]
