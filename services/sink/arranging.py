"""Records → rows per key → bytes per file, in the records' order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from common.records import Ended, Headers, Rejection, decode_control, decode_rejection, row_eol
from common.row import JsonCodec, join_fields
from common.schema import Dialect, Schema

REJECTED_KEY = b"rejected"
_REJECTED_HEADER = b"source,line,offset,split,reason,row"

# Rows with one line ending; None stands for the file's usual one.
Run = tuple[bytes | None, list[bytes]]
# The same with the usual one said.
EndedRun = tuple[bytes, list[bytes]]


class Record(Protocol):
    """What is read of a Kafka record."""

    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written: its header, its usual line ending, and how a record's value becomes a row."""

    header: bytes | None
    eol: bytes
    to_row: Callable[[bytes], bytes] | None

    @property
    def header_line(self) -> bytes:
        """What a file begins with."""
        return b"" if self.header is None else self.header + self.eol


@dataclass(frozen=True, slots=True)
class Addition:
    """What is appended to a file, and how many rows are in it. `open_line`: it does not end with a line ending."""

    data: bytes
    rows: int
    open_line: bool


def layout_of(schema: Schema) -> Layout:
    """The layout of a category file."""
    return Layout(schema.header, schema.dialect.eol, JsonCodec(schema).decode if schema.row_format == "json" else None)


REJECTED_LAYOUT = Layout(_REJECTED_HEADER, b"\n", None)


def arrange(records: Iterable[Record]) -> tuple[dict[bytes, list[Run]], list[Ended]]:
    """The rows of each key in their order, and the ends of sources that came with these records."""
    runs: dict[bytes, list[Run]] = {}
    ends: list[Ended] = []
    odd: list[tuple[int, Record]] = []

    def put_aside(index: int, record: Record) -> bytes:
        odd.append((index, record))
        return b""

    # split sends one category's rows together, and to see that two keys are the same is less work than to look one up.
    for key, together in groupby(records, attrgetter("key")):
        values = [put_aside(index, record) if record.headers else record.value for index, record in enumerate(together)]
        start = 0
        for index, record in odd:
            _add(runs, key, values[start:index])
            start = index + 1
            if isinstance(control := decode_control(record.headers, record.value), Ended):
                ends.append(control)
            else:
                runs.setdefault(key, []).append((row_eol(record.headers), [record.value]))
        _add(runs, key, values[start:] if start else values)
        odd.clear()
    return runs, ends


def _add(runs: dict[bytes, list[Run]], key: bytes, rows: list[bytes]) -> None:
    """Add rows with their file's usual line ending."""
    if not rows:
        return
    of_key = runs.setdefault(key, [])
    if of_key and of_key[-1][0] is None:
        of_key[-1][1].extend(rows)
    else:
        of_key.append((None, rows))


def arrange_rejections(records: Iterable[Record]) -> dict[bytes, list[Run]]:
    """The lines of the file of rejected rows."""
    told = [decode_rejection(record.headers, record.value) for record in records]
    # Notes of what was replayed stand between them.
    rows = [_rejected_row(rejection) for rejection in told if isinstance(rejection, Rejection)]
    return {REJECTED_KEY: [(None, rows)]} if rows else {}


def _rejected_row(rejection: Rejection) -> bytes:
    fields = (
        rejection.source.encode(),
        b"%d" % rejection.line,
        b"%d" % rejection.offset,
        rejection.split.encode(),
        rejection.reason.encode(),
        rejection.raw,
    )
    return join_fields(fields, Dialect())


def spelled_out(runs: Sequence[Run], layout: Layout) -> list[EndedRun]:
    """The runs as CSV rows, each run with its line ending."""
    return [
        (
            layout.eol if eol is None else eol,
            values if layout.to_row is None else [layout.to_row(each) for each in values],
        )
        for eol, values in runs
    ]


def render(runs: Sequence[Run], layout: Layout, *, empty: bool, open_line: bool) -> Addition:
    """What these rows add to a file that is `empty`, or ends without a line ending (`open_line`)."""
    pieces: list[bytes] = []
    total = 0
    if empty and layout.header is not None:
        pieces.append(layout.header_line)
    elif open_line:
        pieces.append(layout.eol)
    ending = layout.eol
    for number, (eol, values) in enumerate(runs):
        rows = values if layout.to_row is None else [layout.to_row(value) for value in values]
        if number and not ending:
            pieces.append(layout.eol)
        ending = layout.eol if eol is None else eol
        pieces.append(ending.join(rows) + ending)
        total += len(rows)
    return Addition(b"".join(pieces), total, open_line=not ending)
