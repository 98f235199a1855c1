"""Records of `rows` → spans of rows of which it is known where they come from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
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


def divide(records: Iterable[Record], cursor: Cursor) -> Iterator[Span | Ended]:
    """The spans and ends in these records, in their order; the cursor moves on behind them.

    Raises ValueError for rows that no mark stands before.
    """
    rest = iter(records)
    for first in rest:
        if cursor.mark is None and not first.headers:
            raise ValueError(f"the row at offset {first.offset} has no mark before it: ingest did not write it")
        some = chain((first,), rest)
        yield from _divide_again(some, cursor) if first.offset < cursor.committed else _divide_new(some, cursor)


def _divide_new(records: Iterable[Record], cursor: Cursor) -> Iterator[Span | Ended]:
    """What `divide` does where no record is carried yet: the hot path, without a look at offsets."""
    marked: list[tuple[int, Record]] = []

    def put_aside(index: int, record: Record) -> bytes:
        marked.append((index, record))
        return b""

    values = [put_aside(index, record) if record.headers else record.value for index, record in enumerate(records)]
    start = 0
    for index, record in marked:
        yield from _span(cursor, values[start:index])
        yield from _control(cursor, record)
        start = index + 1
    yield from _span(cursor, values[start:])


def _divide_again(records: Iterable[Record], cursor: Cursor) -> Iterator[Span | Ended]:
    """What `divide` does where some records may be carried already."""
    carried: list[bytes] = []
    rows: list[bytes] = []
    for record in records:
        if record.headers:
            yield from _span(cursor, rows, carried)
            carried, rows = [], []
            yield from _control(cursor, record)
        else:
            (carried if record.offset < cursor.committed else rows).append(record.value)
    yield from _span(cursor, rows, carried)


def _control(cursor: Cursor, record: Record) -> Iterator[Ended]:
    control = decode_control(record.headers, record.value)
    if isinstance(control, Mark):
        cursor.mark, cursor.mark_offset, cursor.since = control, record.offset, ()
    elif control is not None and record.offset >= cursor.committed:
        yield control


def _span(cursor: Cursor, rows: list[bytes], carried: Sequence[bytes] = ()) -> Iterator[Span]:
    """The span of these rows, if there are any; those carried stand before them, behind the same mark."""
    if carried:
        cursor.since += (carried,)
    if rows:
        if cursor.mark is None:
            raise ValueError("a row behind a source's end has no mark before it: ingest did not write it")
        before, cursor.since = cursor.since, (*cursor.since, rows)
        yield Span(cursor.mark, before, rows)
