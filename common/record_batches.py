"""Record batches as aiokafka 0.14 fetches them, to be parsed while they are gone through.

Its consumer makes a ConsumerRecord of each record, in Python: 1.7 µs a record, checksum included, against 0.2 µs here.
What decides which batches are handed out, and where the next fetch begins, stays aiokafka's own code: to it, a whole
batch looks like one record. `tests/integration/test_record_batches.py` reads the same topics both ways.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher

from common.records import Record


def in_batches(_value: bytes) -> bytes:
    """As its `value_deserializer` it marks a consumer that is to be read with `read_on` alone."""
    raise TypeError("not for single values: this consumer's records come in batches")


async def read_on(
    consumer: AIOKafkaConsumer, partition: TopicPartition, timeout_ms: int, most_batches: int | None = None
) -> list[Iterable[Record]]:
    """The partition's next batches, as soon as there are any; none after the timeout.

    Each can be gone through once, and makes its records then: those before are in no one's way.
    """
    fetched: dict[TopicPartition, list[Iterable[Record]]] = await consumer.getmany(
        partition, timeout_ms=timeout_ms, max_records=most_batches
    )
    return fetched.get(partition, [])


@dataclass(frozen=True, slots=True)
class _Whole:
    """A batch, under the offset of its last record."""

    batch: Any
    offset: int


class _Batch:
    """A batch that is passed through as a single record."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        # Of a control batch the record itself is looked at.
        return next(self._batch)

    def __iter__(self) -> Iterator[_Whole]:
        yield _Whole(self._batch, self._batch.next_offset - 1)


class _Batches:
    """What was fetched, batch after batch."""

    def __init__(self, fetched: Any) -> None:
        self._fetched = fetched
        self.has_next = fetched.has_next

    def next_batch(self) -> _Batch:
        return _Batch(self._fetched.next_batch())


class _PartitionBatches(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Gives out whole batches."""

    def __init__(self, partition: TopicPartition, fetched: Any, *arguments: Any) -> None:
        super().__init__(partition, _Batches(fetched), *arguments)

    def _consumer_record(self, _partition: TopicPartition, whole: _Whole) -> Iterable[Record]:
        """The batch from the next offset on: a fetch brings the whole batch that the offset is in."""
        start: int = self.next_fetch_offset
        if whole.batch.base_offset >= start:
            # A batch that is at its end is not to be asked once more; a chain is not asked again.
            return chain(whole.batch)
        return [record for record in whole.batch if record.offset >= start]


_PartitionRecords = fetcher.PartitionRecords


def _records_of(
    partition: TopicPartition,
    fetched: Any,
    aborted: Any,
    offset: int,
    key_deserializer: Any,
    value_deserializer: Any,
    *arguments: Any,
) -> Any:
    kind = _PartitionBatches if value_deserializer is in_batches else _PartitionRecords
    return kind(partition, fetched, aborted, offset, key_deserializer, value_deserializer, *arguments)


def give_out_batches() -> None:
    """Make consumers with `in_batches` give out whole batches; the others stay as they are. May be called again."""
    fetcher.PartitionRecords = _records_of
