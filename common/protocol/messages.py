"""What travels through the topics beside rows: control records, in both formats. Pure.

A record with the header `nacre` is a control record; the header says its kind and, from format 2 on, its format. Any
other record is a row. In format 1 rows of `categorized` have no marks before them: their key names their schema, and
the header `eol` has their line ending where it is not their schema's.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from msgspec import Struct, to_builtins

from common.batches.record_runs import Headers
from common.protocol.decoding import as_written
from common.protocol.identity import NEWEST
from common.rows.loops import size_of
from common.rows.tally import Tally

CONTROL = "nacre"
EOL = "eol"
# The line ending of a source's last row when CR is there and LF may still come.
HALF_CRLF = b"\r?"


def line_breaks(row: bytes) -> int:
    """How many physical lines end within a row; LF, CRLF and a lone CR end one each, as in ingest's framing."""
    return row.count(b"\n") + row.count(b"\r") - row.count(b"\r\n")


class Mark(Struct, frozen=True):
    """Where the rows behind it come from, up to the next mark. Every record batch of `rows` begins with one.

    `line` (from 1) and `offset` (bytes) are the next row's; `eol` is the rows' line ending; `plain`: none of them holds
    a quote. A record batch has one producer, so rows behind a mark are never another source's. `split` names the only
    split that the rows are for; "" means all. `read_ms` says when they were read (ms since 1970), `is_replay` whether
    they were rejected before and sent again; 0 and False in format 1.
    """

    source: str
    schema: str
    line: int
    offset: int
    eol: bytes
    plain: bool
    split: str = ""
    read_ms: int = 0
    is_replay: bool = False

    def passed(self, rows: Sequence[bytes]) -> "Mark":
        """The mark as it would be after these rows, given as CSV."""
        breaks = sum(map(line_breaks, rows)) if not self.plain else 0
        return Mark(
            self.source,
            self.schema,
            self.line + len(rows) + breaks,
            self.offset + size_of(rows) + len(rows) * len(self.eol),
            self.eol,
            self.plain,
            self.split,
            self.read_ms,
            self.is_replay,
        )


class SourceMark(Struct, frozen=True):
    """Which source and schema the rows behind it are of, up to the next; in `categorized`, from format 2 on.

    Every record batch with rows begins with one. `eol` is their line ending, None where it is their schema's; the rest
    is as in Mark.
    """

    source: str
    schema: str
    eol: bytes | None = None
    read_ms: int = 0
    is_replay: bool = False


class Ended(Struct, frozen=True):
    """A source has ended, with these rows. `parts` is the number of partitions of `rows` that hold this end.

    From format 2 on: a source that grows has many ends, of which this is the one with this `number`, from 1. It had
    `size` bytes then. `tally` is of the rows as in its file, or, with `row_format` json, of the CSV that their fields
    give. `is_older`: its first rows were written in format 1, so that no ledger knows whose they are. Behind split,
    `splits` are those whose rows come before this record, of those in `split_by`; `is_filling`: the others have passed
    this end before.
    """

    source: str
    tally: Tally
    rejected: int
    parts: int
    number: int = 0
    size: int = 0
    row_format: str = "csv"
    splits: tuple[str, ...] = ()
    split_by: tuple[str, ...] = ()
    is_filling: bool = False
    is_older: bool = False


Control = Mark | SourceMark | Ended
_KINDS: dict[type[Control], str] = {Mark: "mark", SourceMark: "source", Ended: "ended"}
_OPTIONAL = ("split", "splits", "split_by", "is_replay", "is_filling", "is_older")
# The fields that format 1 has.
_FIRST = {
    Mark: {"source", "schema", "line", "offset", "eol", "plain", "split"},
    Ended: {"source", "tally", "rejected", "parts"},
}


def encode_control(control: Control, version: int = NEWEST) -> tuple[bytes, Headers]:
    """Value and headers of a control record."""
    fields: dict[str, Any] = to_builtins(control, builtin_types=(bytes,))
    # Empty values are left out: nearly every mark has some, and the first version of split knew no field `split`.
    left_out = {name for name in _OPTIONAL if not fields.get(name)}
    if version == 1:
        left_out |= fields.keys() - _FIRST[type(control)]
    fields = {name: value for name, value in fields.items() if value is not None and name not in left_out}
    if "eol" in fields:
        fields["eol"] = fields["eol"].decode("latin-1")
    kind = _KINDS[type(control)]
    return orjson.dumps(fields), [(CONTROL, (kind if version == 1 else f"{kind}/{version}").encode())]


def decode_control(headers: Headers, value: bytes) -> Control | None:
    """The control record; None if the record is a row. Raises ValueError for a control record of an unknown kind."""
    for name, kind in headers:
        if name != CONTROL:
            continue
        with as_written():
            return _control_of(kind, orjson.loads(value))
    return None


def _control_of(kind: bytes, fields: dict[str, Any]) -> Control:
    if "eol" in fields:
        fields["eol"] = fields["eol"].encode("latin-1")
    match kind:
        case b"mark" | b"mark/2":
            return Mark(**fields)
        case b"source/2":
            return SourceMark(**fields)
        case b"ended" | b"ended/2":
            return _ended(fields)
    raise ValueError(f"unknown control record {kind!r}: written by a newer version?")


def _ended(fields: dict[str, Any]) -> Ended:
    changed: dict[str, Any] = {name: tuple(fields[name]) for name in ("splits", "split_by") if name in fields}
    return Ended(**(fields | changed | {"tally": Tally(**fields["tally"])}))


def row_eol(headers: Headers) -> bytes | None:
    """The line ending in a row's headers; None if it has its schema's."""
    return next((value for name, value in headers if name == EOL), None)
