"""Records → rows per key → bytes per file, in the records' order."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.records import Headers, Rejection, decode_control, decode_rejection, row_eol
from common.row import JsonCodec, join_fields
from common.schema import Dialect, Schema
from common.tally import Tally, tally

REJECTED_KEY = b"rejected"
_REJECTED_HEADER = b"source,line,offset,split,reason,row"

# Rows with one line ending; None stands for the file's usual one.
Run = tuple[bytes | None, list[bytes]]


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


@dataclass(frozen=True, slots=True)
class Addition:
    """What is appended to a file, and what rows are in it. `open_line`: it does not end with a line ending."""

    data: bytes
    tally: Tally
    open_line: bool


def layout_of(schema: Schema) -> Layout:
    """The layout of a category file."""
    return Layout(schema.header, schema.dialect.eol, JsonCodec(schema).decode if schema.row_format == "json" else None)


REJECTED_LAYOUT = Layout(_REJECTED_HEADER, b"\n", None)


def arrange(records: Sequence[Record]) -> tuple[dict[bytes, list[Run]], bool]:
    """The rows of each key in their order, and whether a source's end came with these records."""
    usual: defaultdict[bytes, list[bytes]] = defaultdict(list)
    runs: defaultdict[bytes, list[Run]] = defaultdict(list)
    ended = False
    for record in records:
        if not record.headers:
            usual[record.key].append(record.value)
        elif decode_control(record.headers, record.value) is not None:
            ended = True
        else:
            # What came before it for this file comes before it in the file.
            if record.key in usual:
                runs[record.key].append((None, usual.pop(record.key)))
            runs[record.key].append((row_eol(record.headers), [record.value]))
    for key, rows in usual.items():
        runs[key].append((None, rows))
    return runs, ended


def arrange_rejections(records: Sequence[Record]) -> tuple[dict[bytes, list[Run]], bool]:
    """The lines of the file of rejected rows."""
    rows = [_rejected_row(decode_rejection(record.headers, record.value)) for record in records]
    return ({REJECTED_KEY: [(None, rows)]} if rows else {}), False


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


def render(runs: Sequence[Run], layout: Layout, *, empty: bool, open_line: bool) -> Addition:
    """What these rows add to a file that is `empty`, or ends without a line ending (`open_line`)."""
    pieces: list[bytes] = []
    total = Tally()
    if empty and layout.header is not None:
        pieces.append(layout.header + layout.eol)
    elif open_line:
        pieces.append(layout.eol)
    ending = layout.eol
    for number, (eol, values) in enumerate(runs):
        rows = values if layout.to_row is None else [layout.to_row(value) for value in values]
        if number and not ending:
            pieces.append(layout.eol)
        ending = layout.eol if eol is None else eol
        pieces.append(ending.join(rows) + ending)
        total += tally(rows)
    return Addition(b"".join(pieces), total, open_line=not ending)
