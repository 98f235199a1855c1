"""Records of `rows` → spans of rows of which it is known where they come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.records import Ended, Headers, Mark, decode_control


class Record(Protocol):
    """What is read of a Kafka record."""

    offset: int
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Span:
    """Rows that follow each other behind one mark; `before` are the rows between the mark and them."""

    mark: Mark
    before: Sequence[Sequence[bytes]]
    rows: list[bytes]


@dataclass(slots=True)
class Cursor:
    """Where in `rows` a lane stands: the last mark, its Kafka offset, and the rows read since.

    `committed` is the Kafka offset of the first record that is not carried yet. Reading begins at the mark before it,
    so that every row's place in its source is known.
    """

    committed: int = 0
    mark: Mark | None = None
    mark_offset: int = 0
    since: tuple[Sequence[bytes], ...] = ()


def divide(records: Sequence[Record], cursor: Cursor) -> Iterator[Span | Ended]:
    """The spans and ends in these records, in their order; the cursor moves on behind them.

    Raises ValueError for a row that no mark stands before.
    """
    start = 0
    for index, record in [(index, record) for index, record in enumerate(records) if record.headers]:
        yield from _span(records[start:index], cursor)
        start = index + 1
        control = decode_control(record.headers, record.value)
        if isinstance(control, Mark):
            cursor.mark, cursor.mark_offset, cursor.since = control, record.offset, ()
        elif control is not None and record.offset >= cursor.committed:
            yield control
    yield from _span(records[start:], cursor)


def _span(records: Sequence[Record], cursor: Cursor) -> Iterator[Span]:
    if not records:
        return
    if cursor.mark is None:
        raise ValueError(f"the row at offset {records[0].offset} has no mark before it: ingest did not write it")
    if records[0].offset < cursor.committed:
        carried = [record.value for record in records if record.offset < cursor.committed]
        cursor.since += (carried,)
        records = records[len(carried) :]
        if not records:
            return
    rows = [record.value for record in records]
    before, cursor.since = cursor.since, (*cursor.since, rows)
    yield Span(cursor.mark, before, rows)
