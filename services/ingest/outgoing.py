"""Framed rows, rejects and ends of a source → records in an outbox: encoded, then packed."""

from collections.abc import Iterator, Sequence
from typing import cast

from msgspec import Struct

from common.kafka.transaction import NewRecord, Outbox
from common.pipeline.topics import Topics
from common.protocol.identity import NEWEST
from common.protocol.messages import Ended, Mark, encode_control, line_breaks
from common.protocol.rejections import BegunAnew, Rejection, encode_begun_anew, encode_rejection
from common.rows.codec import JsonCodec
from common.rows.loops import take_out
from common.rows.reasons import Code, Reason, reason_of
from services.ingest.parsing.framing import Reject, RowBlock

Encoded = tuple[RowBlock, Sequence[bytes]] | Reject


class Address(Struct, frozen=True):
    """Where the records of one source go: its name and key, and the partitions of `rows` that they take in turn.

    `version` is the format in which they are written.
    """

    source: str
    key: bytes
    partitions: tuple[int, ...]
    version: int = NEWEST

    @property
    def key_in_rows(self) -> bytes | None:
        """The key of its records in `rows`, where the marks say which source it is."""
        return self.key if self.version == 1 else None


def encode_frames(frames: list[RowBlock | Reject], codec: JsonCodec | None, max_row_bytes: int) -> Iterator[Encoded]:
    """Each block of rows with the values of its records: the rows themselves, or, with a codec, JSON objects."""
    for each in frames:
        if isinstance(each, Reject):
            yield each
        elif codec is not None:
            yield from _encode_json(each, codec, max_row_bytes)
        else:
            yield each, each.rows


def _encode_json(block: RowBlock, codec: JsonCodec, max_row_bytes: int) -> Iterator[Encoded]:
    """A block's rows as JSON objects; a row that has no JSON form is rejected, and ends the block before it."""
    given = take_out(block.rows)
    usual = codec.encode_usual(given)
    # An object is never empty, so `all` finds a None. Neither of these loops runs in Python.
    if block.plain and all(usual) and max(map(len, cast("list[bytes]", usual)), default=0) <= max_row_bytes:
        yield block, cast("list[bytes]", usual)
        return
    rows: list[bytes] = []
    values: list[bytes] = []
    line, offset = first_line, first_offset = block.line, block.offset
    for row, quick in zip(given, usual, strict=True):
        value, problem = (quick, None) if quick is not None else _encode_unusual(row, codec)
        if len(value) > max_row_bytes:
            problem = Reason(Code.TOO_LONG, f"{len(value)} bytes as JSON, at most {max_row_bytes}")
        # A row with a quote has a block of its own: its CSV bytes may differ from those that its object gives back, and
        # the next mark sets line and offset right.
        if (problem or not block.plain) and rows:
            yield RowBlock(rows, block.eol, first_line, first_offset, block.plain), values
            rows, values = [], []
        if not rows:
            first_line, first_offset = line, offset
        if problem:
            yield Reject(row, line, offset, problem)
        else:
            rows.append(row)
            values.append(value)
        line += 1 + (0 if block.plain else line_breaks(row))
        offset += len(row) + len(block.eol)
    if rows:
        yield RowBlock(rows, block.eol, first_line, first_offset, block.plain), values


def _encode_unusual(row: bytes, codec: JsonCodec) -> tuple[bytes, Reason | None]:
    """The row as JSON, and why it has no JSON form; None if it has."""
    try:
        return codec.encode(row), None
    except ValueError as error:
        return b"", reason_of(error)


def pack_rows(
    outbox: Outbox,
    topics: Topics,
    address: Address,
    schema_id: str,
    block: RowBlock,
    values: Sequence[bytes],
    partition: int,
    *,
    read_ms: int,
    split: str = "",
    is_replay: bool = False,
) -> None:
    """Put a block's rows, read at `read_ms`, behind marks; `values` are the records' values, one for each row."""
    mark = Mark(address.source, schema_id, block.line, block.offset, block.eol, block.plain, split, read_ms, is_replay)
    marked = 0

    def mark_before(row: int) -> NewRecord:
        nonlocal mark, marked
        if row > marked:
            mark = mark.passed(block.rows[marked:row])
            marked = row
        return address.key_in_rows, *encode_control(mark, address.version)

    outbox.put_marked_rows(topics.rows, partition, address.key_in_rows, values, mark_before)


def pack_reject(outbox: Outbox, topics: Topics, address: Address, reject: Reject, max_raw_bytes: int) -> None:
    """Put bytes that are no row into `rejected`, for every split; of more than `max_raw_bytes` the first are kept."""
    code, reason = reject.reason
    if len(reject.raw) > max_raw_bytes:
        reason = f"{reason} (only its first {max_raw_bytes} bytes are kept here)"
    rejection = Rejection(address.source, reject.line, reject.offset, "", reason, reject.raw[:max_raw_bytes], code)
    value, headers = encode_rejection(rejection)
    outbox.put(topics.rejected, 0, address.key, value, headers)


def pack_begun_anew(outbox: Outbox, topics: Topics, address: Address) -> None:
    """Record in `rejected`, ahead of its new rejections, that a source is read from its beginning again."""
    value, headers = encode_begun_anew(BegunAnew(address.source))
    outbox.put(topics.rejected, 0, address.key, value, headers)


def pack_end(outbox: Outbox, topics: Topics, address: Address, ended: Ended) -> None:
    """Put the end of a source behind its rows, in every partition that carries them."""
    value, headers = encode_control(ended, address.version)
    for partition in address.partitions:
        outbox.put(topics.rows, partition, address.key_in_rows, value, headers)
