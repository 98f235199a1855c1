"""Values of a category's records → CSV rows → the bytes that are appended to its file."""

from collections.abc import Callable, Sequence
from enum import IntEnum

from msgspec import Struct

from common.protocol.identity import NEWEST
from common.protocol.messages import HALF_CRLF
from common.rows.codec import JsonCodec
from common.rows.loops import join_rows, take_out
from common.rows.schema import Schema
from services.sink.grouping import CsvRun, ValueRun

_REJECTED_HEADERS = {1: b"source,line,offset,split,reason,row", 2: b"source,line,offset,split,code,reason,row"}


class Layout(Struct, frozen=True):
    """How a file is written.

    `header` is None if the source has none, `eol` ends each row that has no line ending of its own, and `to_rows` turns
    values into CSV rows, None if that is what they are.
    """

    header: bytes | None
    eol: bytes
    to_rows: Callable[[list[bytes]], list[bytes]] | None

    @property
    def header_line(self) -> bytes:
        """The bytes that a file begins with."""
        return b"" if self.header is None else self.header + self.eol


class OpenLine(IntEnum):
    """What a file's last line lacks, as the ledger keeps it."""

    NOTHING = 0
    ENDING = 1
    # The CR of its CRLF is there.
    LF = 2


class Rendered(Struct, frozen=True):
    """The bytes to append to a file, the number of rows in them, and what its last line lacks after them."""

    data: bytes
    rows: int
    open_line: OpenLine


def layout_of(schema: Schema) -> Layout:
    """The layout of a category file."""
    return Layout(
        schema.header, schema.dialect.eol, JsonCodec(schema).decode_all if schema.row_format == "json" else None
    )


def rejected_layout(version: int = NEWEST) -> Layout:
    """The layout of the file of rejected rows of a pipeline that was begun in this format."""
    return Layout(_REJECTED_HEADERS[version], b"\n", None)


def csv_runs(runs: Sequence[ValueRun], layout: Layout) -> list[CsvRun]:
    """Turn values into CSV rows, each run with its line ending."""
    return [
        CsvRun(
            layout.eol if eol is None else eol,
            values if layout.to_rows is None else layout.to_rows(take_out(values)),
            stretch,
        )
        for eol, values, stretch in runs
    ]


def render(runs: Sequence[CsvRun], layout: Layout, *, empty: bool, open_line: int) -> Rendered:
    """Join rows to what they add to a file: a header first if it is `empty`, else what its last line lacks."""
    pieces: list[bytes] = []
    total = 0
    lacks = OpenLine(open_line)
    if empty:
        lacks = OpenLine.NOTHING
        pieces.append(layout.header_line)
    for eol, rows, _ in runs:
        if lacks:
            pieces.append(b"\n" if lacks is OpenLine.LF else layout.eol)
        ending = eol
        lacks = OpenLine.NOTHING if ending else OpenLine.ENDING
        if ending == HALF_CRLF:
            ending, lacks = b"\r", OpenLine.LF
        pieces.append(join_rows(rows, ending))
        total += len(rows)
    return Rendered(b"".join(pieces), total, lacks)
