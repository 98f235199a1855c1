"""What travels through the topics besides rows: control records and rejections, in both formats. Pure.

A record with the header `nacre` is a control record; the header says its kind and, from format 2 on, its format. Any
other record is a row. In format 1 rows of `categorized` have no marks before them: their key names their schema, and
the header `eol` has their line ending where it is not their schema's.
"""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from common.batches.record_runs import Headers
from common.protocol.decoding import as_written
from common.protocol.identity import NEWEST
from common.rows.loops import size_of
from common.rows.tally import Tally

CONTROL = "nacre"
EOL = "eol"
REPLAYED = "replayed"
BEGUN_ANEW = "begun anew"
# The line ending of a source's last row when CR is there and LF may still come.
HALF_CRLF = b"\r?"


def line_breaks(row: bytes) -> int:
    """How many physical lines end within a row; LF, CRLF and a lone CR end one each, as in ingest's framing."""
    return row.count(b"\n") + row.count(b"\r") - row.count(b"\r\n")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the rows behind it come from, up to the next mark. Every record batch of `rows` begins with one.

    `line` (from 1) and `offset` (bytes) are the next row's; `eol` is the rows' line ending; `plain`: none of them holds
    a quote. A record batch has one producer, so rows behind a mark are never another source's. `split` names the only
    split that the rows are for; "" means all. `read_ms` says when they were read (ms since 1970); 0 in format 1.
    """

    source: str
    schema: str
    line: int
    offset: int
    eol: bytes
    plain: bool
    split: str = ""
    read_ms: int = 0

    def passed(self, rows: list[bytes]) -> "Mark":
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
        )


@dataclass(frozen=True, slots=True)
class SourceMark:
    """Which source and schema the rows behind it are of, up to the next; in `categorized`, from format 2 on.

    Every record batch with rows begins with one. `eol` is their line ending, None where it is their schema's; `read_ms`
    is as in Mark.
    """

    source: str
    schema: str
    eol: bytes | None = None
    read_ms: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A source has ended, with these rows. `parts` is the number of partitions of `rows` that hold this end."""

    source: str
    tally: Tally
    rejected: int
    parts: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bytes that went into no category file, and why: for one split, or with `split` "" for every one.

    `code` is one of `Code`, a newer one, or "" in format 1; `reason` is one line.
    """

    source: str
    line: int
    offset: int
    split: str
    reason: str
    raw: bytes
    code: str = ""

    @property
    def place(self) -> tuple[bytes, ...]:
        """Its source, line, offset and split, as fields."""
        return self.source.encode(), b"%d" % self.line, b"%d" % self.offset, self.split.encode()


@dataclass(frozen=True, slots=True)
class Replayed:
    """A note in `rejected`: the row rejected at this Kafka offset was sent again, in the same transaction."""

    offset: int


@dataclass(frozen=True, slots=True)
class BegunAnew:
    """A note in `rejected`: this source is read again from its beginning, so its earlier rejections are void."""

    source: str


Control = Mark | SourceMark | Ended
_KINDS: dict[type[Control], str] = {Mark: "mark", SourceMark: "source", Ended: "ended"}


def encode_control(control: Control, version: int = NEWEST) -> tuple[bytes, Headers]:
    """Value and headers of a control record."""
    fields: dict[str, Any] = asdict(control)
    if version == 1:
        fields.pop("read_ms", None)
    # What stands for nothing is left out: it does in nearly every mark, and the first split knew no such field.
    fields = {name: value for name, value in fields.items() if value is not None and (name != "split" or value)}
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
            return Ended(**(fields | {"tally": Tally(**fields["tally"])}))
    raise ValueError(f"unknown control record {kind!r}: written by a newer version?")


def row_eol(headers: Headers) -> bytes | None:
    """The line ending in a row's headers; None if it has its schema's."""
    return next((value for name, value in headers if name == EOL), None)


def encode_rejection(rejection: Rejection) -> tuple[bytes, Headers]:
    """Value (the raw bytes) and headers of a rejected row."""
    return rejection.raw, [
        ("source", rejection.source.encode()),
        ("line", b"%d" % rejection.line),
        ("offset", b"%d" % rejection.offset),
        ("split", rejection.split.encode()),
        ("reason", rejection.reason.encode()),
        ("code", rejection.code.encode()),
    ]


def encode_replayed(note: Replayed) -> tuple[bytes, Headers]:
    """Value (nothing) and headers of a note that a rejected row was replayed."""
    return b"", [(REPLAYED, b"%d" % note.offset)]


def encode_begun_anew(note: BegunAnew) -> tuple[bytes, Headers]:
    """Value (nothing) and headers of a note that a source is read again from its beginning."""
    return b"", [(BEGUN_ANEW, note.source.encode())]


def decode_rejection(headers: Headers, raw: bytes) -> Rejection | Replayed | BegunAnew:
    """What a record of `rejected` is: the rejection that `encode_rejection` wrote, or one of the notes."""
    with as_written():
        fields = dict(headers)
        if BEGUN_ANEW in fields:
            return BegunAnew(fields[BEGUN_ANEW].decode())
        if REPLAYED in fields:
            return Replayed(int(fields[REPLAYED]))
        return Rejection(
            fields["source"].decode(),
            int(fields["line"]),
            int(fields["offset"]),
            fields["split"].decode(),
            fields["reason"].decode(),
            raw,
            fields.get("code", b"").decode(),
        )
