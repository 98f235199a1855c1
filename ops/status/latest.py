"""The latest value of each key of a compacted topic, read on from where the last look ended."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from common.batches.record_runs import is_deletion, key_of
from common.errors import ServiceError
from common.kafka.reading import read_to_end

T = TypeVar("T")


class LatestValues(Generic[T]):
    """`values` has the latest value by partition and key, decoded, and None where the latest record deletes it.

    By partition, because each partition of `progress` has a run of its own under the same key.
    """

    def __init__(self, topic: str, decode: Callable[[bytes], T]) -> None:
        self._topic = topic
        self._decode = decode
        self._positions: dict[TopicPartition, int] = {}
        self.values: dict[tuple[int, str], T | None] = {}

    async def read(self, reader: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        """Take what has come, with a reader that nothing else uses now. ServiceError if a record is malformed."""
        if new := [partition for partition in partitions if partition not in self._positions]:
            self._positions |= await reader.beginning_offsets(new)
        ends = await reader.end_offsets(partitions)
        # Fetch only where there is something: a broker holds back other answers while a fetch waits for records.
        behind = [partition for partition in partitions if self._positions[partition] < ends[partition]]
        if not behind:
            return
        reader.assign(behind)
        for partition in behind:
            reader.seek(partition, self._positions[partition])
        # Most records are outdated: only the latest of each key is decoded.
        latest: dict[tuple[int, bytes], bytes | None] = {}
        for partition in behind:
            async for record in read_to_end(reader, partition):
                latest[partition.partition, key_of(record)] = None if is_deletion(record) else record.value
        try:
            for (number, key), value in latest.items():
                self.values[number, key.decode()] = None if value is None else self._decode(value)
        except ValueError as error:
            raise ServiceError(f"topic {self._topic}: a record is {error}") from None
        # Last: what a failure has cut short is read again.
        for partition in behind:
            self._positions[partition] = await reader.position(partition)
        # Otherwise the reader would go on to fetch.
        reader.pause(*behind)
