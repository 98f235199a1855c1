"""Parts of a source → records in an outbox."""

from collections.abc import Iterator
from dataclasses import dataclass

from common.kafka.transaction import Outbox
from common.pipeline.topics import Topics
from common.protocol.messages import (
    BegunAnew,
    Ended,
    Mark,
    Rejection,
    encode_begun_anew,
    encode_control,
    encode_rejection,
)
from common.rows.codec import JsonCodec
from services.ingest.parsing.framing import Reject, RowBlock


@dataclass(frozen=True, slots=True)
class Address:
    """Where the records of one source go: its name and key, and the partitions of `rows` its parts take in turn."""

    source: str
    key: bytes
    partitions: tuple[int, ...]


def pack_rows(
    outbox: Outbox,
    topics: Topics,
    address: Address,
    schema_id: str,
    block: RowBlock,
    values: list[bytes],
    partition: int,
    split: str = "",
) -> None:
    """Put a run's rows behind a mark; `values` are what the records hold, row for row.

    Every record batch begins with a mark: only a batch is sure to stay together when producers write side by side.
    """
    mark = Mark(address.source, schema_id, block.line, block.offset, block.eol, block.plain, split)
    batches = outbox.batches[topics.rows, partition]
    batch = batches[-1] if batches else None
    done = 0
    while done < len(values):
        value, headers = encode_control(mark)
        if batch is None or not outbox.append(batch, address.key, value, headers):
            batch = outbox.begin_batch(topics.rows, partition)
            outbox.append(batch, address.key, value, headers)
        filled = outbox.fill(batch, address.key, values, done)
        if filled < len(values):
            mark = mark.passed(block.rows[done:filled])
            batch = None
        done = filled


def pack_reject(outbox: Outbox, topics: Topics, address: Address, reject: Reject, max_raw_bytes: int) -> None:
    """Put what is no row into `rejected`, for every split; what is longer than that is cut, and its reason says so."""
    reason = reject.reason
    if len(reject.raw) > max_raw_bytes:
        reason = f"{reason} (only its first {max_raw_bytes} bytes are kept here)"
    rejection = Rejection(address.source, reject.line, reject.offset, "", reason, reject.raw[:max_raw_bytes])
    value, headers = encode_rejection(rejection)
    outbox.put(topics.rejected, 0, address.key, value, headers)


def pack_begun_anew(outbox: Outbox, topics: Topics, address: Address) -> None:
    """Say in `rejected` that a source is read anew, before anything that is rejected of it then."""
    value, headers = encode_begun_anew(BegunAnew(address.source))
    outbox.put(topics.rejected, 0, address.key, value, headers)


def pack_end(outbox: Outbox, topics: Topics, address: Address, ended: Ended) -> None:
    """Put the end of a source behind its rows, in every partition that carries them."""
    value, headers = encode_control(ended)
    for partition in address.partitions:
        outbox.put(topics.rows, partition, address.key, value, headers)


def json_parts(
    block: RowBlock, codec: JsonCodec, max_row_bytes: int
) -> Iterator[tuple[RowBlock, list[bytes]] | Reject]:
    """A block with its rows as JSON objects; what has no JSON form is rejected.

    A row with a quote stands in a block of its own: its CSV bytes may be others than those its object gives back, and
    the next mark sets line and offset right.
    """
    usual = codec.encode_usual(block.rows)
    if block.plain and all(value is not None and len(value) <= max_row_bytes for value in usual):
        yield block, [value for value in usual if value is not None]
        return
    single = not block.plain
    rows: list[bytes] = []
    values: list[bytes] = []
    line, offset = first_line, first_offset = block.line, block.offset
    for row, quick in zip(block.rows, usual, strict=True):
        try:
            value = codec.encode(row) if quick is None else quick
            problem = "" if len(value) <= max_row_bytes else f"{len(value)} bytes as JSON, at most {max_row_bytes}"
        except ValueError as error:
            problem = str(error)
        if (problem or single) and rows:
            yield RowBlock(rows, block.eol, first_line, first_offset, block.plain), values
            rows, values = [], []
        if not rows:
            first_line, first_offset = line, offset
        if problem:
            yield Reject(row, line, offset, problem)
        else:
            rows.append(row)
            values.append(value)
        line += 1 + (row.count(b"\n") if single else 0)
        offset += len(row) + len(block.eol)
    if rows:
        yield RowBlock(rows, block.eol, first_line, first_offset, block.plain), values


def to_values(
    parts: list[RowBlock | Reject], codec: JsonCodec | None, max_row_bytes: int
) -> Iterator[tuple[RowBlock, list[bytes]] | Reject]:
    """Each block with what its records hold."""
    for part in parts:
        if isinstance(part, Reject):
            yield part
        elif codec is not None:
            yield from json_parts(part, codec, max_row_bytes)
        else:
            yield part, part.rows
