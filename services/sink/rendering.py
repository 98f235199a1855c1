"""Rows of one file → CSV rows → the bytes that are appended to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from common.protocol.messages import HALF_CRLF
from common.rows.codec import JsonCodec
from common.rows.schema import Schema
from services.sink.grouping import CsvRun, ValueRun

_REJECTED_HEADER = b"source,line,offset,split,reason,row"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written: its header, its usual line ending, and how records' values become rows."""

    header: bytes | None
    eol: bytes
    to_rows: Callable[[list[bytes]], list[bytes]] | None

    @property
    def header_line(self) -> bytes:
        """What a file begins with."""
        return b"" if self.header is None else self.header + self.eol


class OpenLine(IntEnum):
    """What a file's last line lacks, as the ledger keeps it."""

    NOTHING = 0
    ENDING = 1
    # Of CRLF it has CR.
    LF = 2


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is appended to a file, how many rows are in it, and how the file ends then."""

    data: bytes
    rows: int
    open_line: OpenLine


def layout_of(schema: Schema) -> Layout:
    """The layout of a category file."""
    return Layout(
        schema.header, schema.dialect.eol, JsonCodec(schema).decode_all if schema.row_format == "json" else None
    )


REJECTED_LAYOUT = Layout(_REJECTED_HEADER, b"\n", None)


def csv_runs(runs: Sequence[ValueRun], layout: Layout) -> list[CsvRun]:
    """The runs as CSV rows, each run with its line ending."""
    return [
        (
            layout.eol if eol is None else eol,
            values if layout.to_rows is None else layout.to_rows(values),
        )
        for eol, values in runs
    ]


def render(runs: Sequence[CsvRun], layout: Layout, *, empty: bool, open_line: int) -> Rendered:
    """What these rows add to a file that is `empty`, or whose last line lacks something (`open_line`)."""
    pieces: list[bytes] = []
    total = 0
    lacks = OpenLine(open_line)
    if empty:
        lacks = OpenLine.NOTHING
        pieces.append(layout.header_line)
    for eol, rows in runs:
        if lacks:
            pieces.append(b"\n" if lacks is OpenLine.LF else layout.eol)
        ending = eol
        lacks = OpenLine.NOTHING if ending else OpenLine.ENDING
        if ending == HALF_CRLF:
            ending, lacks = b"\r", OpenLine.LF
        pieces.append(ending.join(rows) + ending)
        total += len(rows)
    return Rendered(b"".join(pieces), total, lacks)
