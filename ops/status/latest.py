"""The latest value of each key of a compacted topic, read on from where the last look ended."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from common.aiokafka_internals.fetched_batches import read_on, runs_of
from common.batches.record_runs import Record, is_deletion, key_of, one_by_one
from common.errors import ServiceError

T = TypeVar("T")

_TIMEOUT_MS = 200


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
        for partition in behind:
            while self._positions[partition] < ends[partition]:
                batches = await read_on(reader, partition, _TIMEOUT_MS)
                position = await reader.position(partition)
                # Positions move with each fetch, so a look that is cut short is not in vain and memory holds one fetch.
                self._take(partition, one_by_one(runs_of(batches)))
                self._positions[partition] = position
        # The reader would go on fetching if it kept its partitions.
        reader.pause(*behind)

    def _take(self, partition: TopicPartition, records: Iterable[Record]) -> None:
        # Many records are outdated: only the latest of each key is decoded.
        latest = {key_of(record): None if is_deletion(record) else record.value for record in records}
        try:
            for key, value in latest.items():
                self.values[partition.partition, key.decode()] = None if value is None else self._decode(value)
        except ValueError as error:
            raise ServiceError(f"topic {self._topic}: a record is {error}") from None
