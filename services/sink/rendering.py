"""Records → rows per key → bytes per file, in the records' order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from common.batches.record_runs import Record, RecordRun, one_by_one
from common.protocol.messages import HALF_CRLF, Ended, Rejection, decode_control, decode_rejection, row_eol
from common.rows.codec import JsonCodec, join_fields
from common.rows.schema import Dialect, Schema
from services.sink.ledger.entries import REJECTED_KEY
from services.sink.rolling.limits import EndedRun

_REJECTED_HEADER = b"source,line,offset,split,reason,row"

# Rows with one line ending; None stands for the file's usual one.
Run = tuple[bytes | None, list[bytes]]


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
class Addition:
    """What is appended to a file, and how many rows are in it, and how it ends then."""

    data: bytes
    rows: int
    open_line: OpenLine


def layout_of(schema: Schema) -> Layout:
    """The layout of a category file."""
    return Layout(
        schema.header, schema.dialect.eol, JsonCodec(schema).decode_all if schema.row_format == "json" else None
    )


REJECTED_LAYOUT = Layout(_REJECTED_HEADER, b"\n", None)


def arrange(record_runs: Iterable[RecordRun | Record]) -> tuple[dict[bytes, list[Run]], list[Ended]]:
    """The rows of each key in their order, and the ends of sources that came with these records."""
    runs: dict[bytes, list[Run]] = {}
    ends: list[Ended] = []
    for run in record_runs:
        if isinstance(run, RecordRun):
            _add(runs, run.key, run.rows)
        elif isinstance(control := decode_control(run.headers, run.value), Ended):
            ends.append(control)
        else:
            runs.setdefault(run.key, []).append((row_eol(run.headers), [run.value]))
    return runs, ends


def _add(runs: dict[bytes, list[Run]], key: bytes, rows: list[bytes]) -> None:
    """Add rows with their file's usual line ending."""
    of_key = runs.setdefault(key, [])
    if of_key and of_key[-1][0] is None:
        of_key[-1][1].extend(rows)
    else:
        of_key.append((None, rows))


def arrange_rejections(record_runs: Iterable[RecordRun | Record]) -> dict[bytes, list[Run]]:
    """The lines of the file of rejected rows."""
    told = [decode_rejection(record.headers, record.value) for record in one_by_one(record_runs)]
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
            values if layout.to_rows is None else layout.to_rows(values),
        )
        for eol, values in runs
    ]


def render(runs: Sequence[Run], layout: Layout, *, empty: bool, open_line: int) -> Addition:
    """What these rows add to a file that is `empty`, or whose last line lacks something (`open_line`)."""
    pieces: list[bytes] = []
    total = 0
    lacks = OpenLine(open_line)
    if empty:
        lacks = OpenLine.NOTHING
        pieces.append(layout.header_line)
    for eol, values in runs:
        rows = values if layout.to_rows is None else layout.to_rows(values)
        if lacks:
            pieces.append(b"\n" if lacks is OpenLine.LF else layout.eol)
        ending = layout.eol if eol is None else eol
        lacks = OpenLine.NOTHING if ending else OpenLine.ENDING
        if ending == HALF_CRLF:
            ending, lacks = b"\r", OpenLine.LF
        pieces.append(ending.join(rows) + ending)
        total += len(rows)
    return Addition(b"".join(pieces), total, lacks)
