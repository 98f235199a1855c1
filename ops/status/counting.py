"""How many rows there are between two offsets of a partition.

Offsets alone do not tell: transaction markers, marks and ends of sources take offsets too, and a partition at rest ends
with such a marker. So the records after a position are read, up to a limit for each look, and at least once in each
partition whose first row is not known. Beyond the limit the number is an estimate, from the share of rows in what was
read. If a position stands still, the next look counts on from where this one stopped, until the number is exact.
"""

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from common.aiokafka_internals.fetched_batches import RecordBatch, read_on
from common.batches.record_runs import Record, RecordRun
from common.errors import ServiceError
from common.protocol.messages import CONTROL, Mark, SourceMark, decode_control
from common.protocol.rejections import Rejection, decode_rejection

_TIMEOUT_MS = 200
# All partitions of a stage share this limit. A broker has so much in memory and sends it in milliseconds.
_MOST_BYTES = 2 * 2**20


class RowCount(NamedTuple):
    """So many rows, whether that is exact, and when the first was read (ms since 1970), None if that is not known."""

    rows: int
    is_exact: bool
    oldest_ms: int | None


class _Count(Struct):
    """The rows from `begin` to before `to`, and when the first of them was read (ms since 1970)."""

    begin: int
    to: int
    rows: int = 0
    oldest_ms: int | None = None


class RowCounter:
    """Counts the rows of some partitions. `row_share` is the share of rows among the offsets that were read last."""

    def __init__(self, rejected: str) -> None:
        self._rejected = rejected
        self._counts: dict[TopicPartition, _Count] = {}
        self.row_share = 1.0

    async def count(
        self, reader: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]]
    ) -> dict[TopicPartition, RowCount]:
        """The rows in each span, from an offset to before another.

        The reader is used by nothing else meanwhile.
        """
        for partition, (begin, _) in spans.items():
            if partition not in self._counts or self._counts[partition].begin != begin:
                self._counts[partition] = _Count(begin, begin)
        ends = {partition: end for partition, (_, end) in spans.items() if self._counts[partition].to < end}
        if ends:
            await self._read(reader, ends)
        return {partition: self._counted(partition, end) for partition, (_, end) in spans.items()}

    def _counted(self, partition: TopicPartition, end: int) -> RowCount:
        count = self._counts[partition]
        unread = max(0, end - count.to)
        return RowCount(count.rows + round(unread * self.row_share), not unread, count.oldest_ms)

    async def _read(self, reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        reader.assign(list(ends))
        for partition in ends:
            reader.seek(partition, self._counts[partition].to)
        left, offsets, rows = _MOST_BYTES, 0, 0
        for partition, end in ends.items():
            count = self._counts[partition]
            before = _Count(count.begin, count.to, count.rows)
            # Each is read once at least until its first row is known: others' rows do not hide how old that is.
            is_due = count.oldest_ms is None
            while (left > 0 or is_due) and count.to < end:
                is_due = False
                batches = await read_on(reader, partition, _TIMEOUT_MS)
                left -= sum(len(batch.content) for batch in batches)
                to = await reader.position(partition)
                # Without an await: a look may be cut short at any.
                for batch in batches:
                    self._take(count, partition, batch)
                count.to = to
            offsets, rows = offsets + count.to - before.to, rows + count.rows - before.rows
        if rows:
            self.row_share = rows / offsets
        reader.pause(*ends)

    def _take(self, count: _Count, partition: TopicPartition, batch: RecordBatch) -> None:
        """Count the rows of a batch."""
        rows = sum(self._rows_in(partition, run) for run in batch.runs())
        if rows and count.oldest_ms is None:
            try:
                # A rejection is as old as its batch.
                is_rejected = partition.topic == self._rejected
                count.oldest_ms = batch.latest_ms if is_rejected else _first_read_ms(batch)
            except ValueError as error:
                raise ServiceError(f"topic {partition.topic}: a record is {error}") from None
        count.rows += rows

    def _rows_in(self, partition: TopicPartition, run: Record | RecordRun) -> int:
        if not isinstance(run, Record):
            return len(run.rows)
        if partition.topic != self._rejected:
            return not any(name == CONTROL for name, _ in run.headers)
        try:
            return isinstance(decode_rejection(run.headers, run.value), Rejection)
        except ValueError as error:
            raise ServiceError(f"topic {partition.topic}: a record is {error}") from None


def _first_read_ms(batch: RecordBatch) -> int:
    """When the first wanted row of a batch was read (ms since 1970): by its mark, or else as old as the batch."""
    read_ms = 0
    for run in batch.whole():
        mark = decode_control(run.headers, run.value) if isinstance(run, Record) else None
        if isinstance(mark, Mark | SourceMark):
            read_ms = mark.read_ms
        elif mark is None and run.offset + (1 if isinstance(run, Record) else len(run.rows)) > batch.start:
            break
    return read_ms or batch.latest_ms
