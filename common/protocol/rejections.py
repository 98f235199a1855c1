"""What travels through the topic `rejected`: rejections, and notes about them. Pure."""

from typing import Any

import orjson
from msgspec import Struct, to_builtins

from common.batches.record_runs import Headers
from common.protocol.decoding import as_written
from common.protocol.messages import Ended, decode_control
from common.rows.tally import NOTHING, Tally

_REPLAYED = "replayed"
_BEGUN_ANEW = "begun anew"
_IS_REPLAY = "replay"


class Rejection(Struct, frozen=True):
    """Bytes that went into no category file, and why: for one split, or with `split` "" for every one.

    `code` is one of `Code`, a newer one, or "" in format 1; `reason` is one line. `is_replay`: it was rejected before,
    and sent again.
    """

    source: str
    line: int
    offset: int
    split: str
    reason: str
    raw: bytes
    code: str = ""
    is_replay: bool = False

    @property
    def place(self) -> tuple[bytes, ...]:
        """Its source, line, offset and split, as fields."""
        return self.source.encode(), b"%d" % self.line, b"%d" % self.offset, self.split.encode()


class Replayed(Struct, frozen=True):
    """A note: the row rejected at this Kafka offset was sent again, in the same transaction.

    From format 2 on it says what was sent: one row of `source` for `split`, which had been rejected with `code`, with
    this tally, perhaps mended, instead of the row with the tally `original`.
    """

    offset: int
    source: str = ""
    split: str = ""
    code: str = ""
    original: Tally = NOTHING
    sent: Tally = NOTHING


class BegunAnew(Struct, frozen=True):
    """A note: this source is read again from its beginning, so its earlier rejections are void."""

    source: str


Note = Replayed | BegunAnew | Ended


def encode_rejection(rejection: Rejection) -> tuple[bytes, Headers]:
    """Value (the raw bytes) and headers of a rejected row."""
    return rejection.raw, [
        ("source", rejection.source.encode()),
        ("line", b"%d" % rejection.line),
        ("offset", b"%d" % rejection.offset),
        ("split", rejection.split.encode()),
        ("reason", rejection.reason.encode()),
        ("code", rejection.code.encode()),
        *([(_IS_REPLAY, b"1")] if rejection.is_replay else []),
    ]


def encode_replayed(note: Replayed) -> tuple[bytes, Headers]:
    """Value and headers of a note that a rejected row was replayed; in format 1 it has no value."""
    fields: dict[str, Any] = to_builtins(note)
    offset = fields.pop("offset")
    return orjson.dumps(fields) if note.source else b"", [(_REPLAYED, b"%d" % offset)]


def encode_begun_anew(note: BegunAnew) -> tuple[bytes, Headers]:
    """Value (nothing) and headers of a note that a source is read again from its beginning."""
    return b"", [(_BEGUN_ANEW, note.source.encode())]


def decode_rejection(headers: Headers, raw: bytes) -> Rejection | Note:
    """What a record of `rejected` is: a rejection, or a note."""
    with as_written():
        fields = dict(headers)
        if _BEGUN_ANEW in fields:
            return BegunAnew(fields[_BEGUN_ANEW].decode())
        if _REPLAYED in fields:
            return _replayed(int(fields[_REPLAYED]), raw)
        if "source" in fields:
            return Rejection(
                fields["source"].decode(),
                int(fields["line"]),
                int(fields["offset"]),
                fields["split"].decode(),
                fields["reason"].decode(),
                raw,
                fields.get("code", b"").decode(),
                _IS_REPLAY in fields,
            )
        match decode_control(headers, raw):
            case Ended() as ended:
                return ended
        raise KeyError("source")


def _replayed(offset: int, value: bytes) -> Replayed:
    if not value:
        return Replayed(offset)
    fields = orjson.loads(value)
    tallies = {name: Tally(**fields[name]) for name in ("original", "sent")}
    return Replayed(offset, **(fields | tallies))
