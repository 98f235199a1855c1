"""Record batches as aiokafka 0.14 fetches them, handed out whole.

Without this the consumer makes a ConsumerRecord of each record, in Python: 1.7 µs a record, checksum included, against
0.1 µs here. aiokafka's own code still decides which batches it hands out and where the next fetch begins: to it, a
whole batch looks like one record. `tests/integration/test_record_batches.py` reads the same topics both ways. No
upstream issue known.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from msgspec import Struct

from common.aiokafka_internals.consumer_state import check_fetcher
from common.batches.crc32c import crc32c
from common.batches.loops import parse_batch
from common.batches.record_runs import Record, RecordRun

_SIZE_AT = 8
_BEHIND_SIZE_AT = 12
_CRC_AT = 17
_CHECKED_FROM = 21
_LATEST_AT = 35
_BEHIND_LATEST_AT = 43


def in_batches(_value: bytes) -> bytes:
    """As a consumer's `value_deserializer`, this marks it as one to be read with `read_on` alone."""
    raise TypeError("not for single values: this consumer's records come in batches")


class RecordBatch(Struct, frozen=True):
    """A batch as it was fetched; it may begin before `start`, the offset from which its records are wanted."""

    content: memoryview
    start: int

    @property
    def is_cut(self) -> bool:
        """Whether there are records before `start`."""
        return self.start > int.from_bytes(self.content[:_SIZE_AT], "big")

    @property
    def latest_ms(self) -> int:
        """The time of its latest record, in ms since 1970."""
        return int.from_bytes(self.content[_LATEST_AT:_BEHIND_LATEST_AT], "big", signed=True)

    def runs(self) -> list[RecordRun | Record]:
        """Decode its records from `start` on. CorruptRecordException where it is damaged."""
        return parse_batch(self.content, self.start)

    def whole(self) -> list[RecordRun | Record]:
        """Decode all of its records, also those before `start`."""
        return parse_batch(self.content, 0)


def runs_of(batches: Iterable[RecordBatch]) -> Iterator[RecordRun | Record]:
    """The records of some batches, decoded one batch at a time, so that the other batches stay bytes."""
    for batch in batches:
        yield from batch.runs()


def whole_runs_of(batches: Iterable[RecordBatch]) -> Iterator[RecordRun | Record]:
    """All records of some batches, also those in the first batch before the offset that was sought."""
    for batch in batches:
        yield from batch.whole()


async def read_on(
    consumer: AIOKafkaConsumer, partition: TopicPartition, timeout_ms: int, most_batches: int | None = None
) -> list[RecordBatch]:
    """The partition's next batches, as soon as there are any; none after the timeout."""
    check_fetcher(consumer)
    fetched: dict[TopicPartition, list[RecordBatch]] = await consumer.getmany(
        partition, timeout_ms=timeout_ms, max_records=most_batches
    )
    return fetched.get(partition, [])


async def read_on_any(consumer: AIOKafkaConsumer, timeout_ms: int) -> dict[TopicPartition, list[RecordBatch]]:
    """The next batches of any partition that the consumer has, as soon as there are any; none after the timeout."""
    check_fetcher(consumer)
    fetched: dict[TopicPartition, list[RecordBatch]] = await consumer.getmany(timeout_ms=timeout_ms)
    return fetched


class _Fetched(fetcher.MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """Fetched batches, with their bytes accessible."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.content = memoryview(content)


class _Whole(Struct, frozen=True):
    """A batch, under the offset of its last record."""

    content: memoryview
    offset: int


class _Batch:
    """A batch that is passed through as a single record."""

    def __init__(self, batch: Any, content: memoryview) -> None:
        self._batch = batch
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def validate_crc(self) -> bool:
        """Whether its bytes match their checksum."""
        expected = int.from_bytes(self._content[_CRC_AT:_CHECKED_FROM], "big")
        return crc32c(self._content[_CHECKED_FROM:]) == expected

    def __next__(self) -> Any:
        # aiokafka reads the record of a control batch itself.
        return next(self._batch)

    def __iter__(self) -> Iterator[_Whole]:
        yield _Whole(self._content, self._batch.next_offset - 1)


class _Batches:
    """Fetched batches, one after the other."""

    def __init__(self, fetched: _Fetched) -> None:
        self._fetched = fetched
        self._begin = 0
        self.has_next = fetched.has_next

    def next_batch(self) -> _Batch:
        begin = self._begin
        behind_size = begin + _BEHIND_SIZE_AT
        end = behind_size + int.from_bytes(self._fetched.content[begin + _SIZE_AT : behind_size], "big")
        self._begin = end
        return _Batch(self._fetched.next_batch(), self._fetched.content[begin:end])


class _PartitionBatches(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Hands out whole batches."""

    def __init__(self, partition: TopicPartition, fetched: _Fetched, *arguments: Any) -> None:
        super().__init__(partition, _Batches(fetched), *arguments)

    def _consumer_record(self, _partition: TopicPartition, whole: _Whole) -> RecordBatch:
        return RecordBatch(whole.content, self.next_fetch_offset)


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


def hand_out_batches() -> None:
    """Make consumers with `in_batches` hand out whole batches; the others stay as they are."""
    fetcher.MemoryRecords = _Fetched
    fetcher.PartitionRecords = _records_of
