"""What a source holds, by its bytes alone, as ingest would read them. Pure."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from common.protocol.messages import Mark
from common.rows.codec import JsonCodec, parse_fields
from common.rows.loops import take_out
from common.rows.schema import Schema
from ops.validate.columns import ColumnFields, with_fields
from services.ingest.outgoing import encode_frames
from services.ingest.parsing.framing import Reject, RowBlock, frame
from services.ingest.parsing.opening import find_opening
from services.ingest.parsing.options import ReadOptions

MAX_REASONS = 5
_MAX_LOCATIONS = 3
# At most this many rows are parsed at once, because their fields take many times the memory of their bytes.
_ROWS_AT_ONCE = 10_000

Part = tuple[RowBlock, list[bytes]] | Reject


# Bytes to rows


class ReadPosition(Struct, frozen=True):
    """How far a source is read: `line` from 1, `offset` in bytes. Without a schema, no row has been reached."""

    schema: Schema | None = None
    line: int = 1
    offset: int = 0


class ExaminedChunk(Struct, frozen=True):
    """What the next bytes of a source hold: blocks of rows with their records' values, and rejects.

    `used` counts the bytes. `trouble` says what is wrong with the header's quotes, if these bytes hold the header.
    """

    parts: tuple[Part, ...]
    used: int
    position: ReadPosition
    trouble: str = ""


def examine_chunk(
    data: bytes, position: ReadPosition, options: ReadOptions, *, at_end: bool, max_row_bytes: int
) -> ExaminedChunk:
    """Take the complete records from `data`, which begins at `position`; with `at_end`, all of it.

    Raises ValueError, one line, if the source's beginning cannot be read.
    """
    parts: list[Part] = []
    used, trouble = 0, ""
    if position.schema is None:
        opening = find_opening(data, options, line=position.line, offset=position.offset, at_end=at_end)
        if opening is None:
            return ExaminedChunk((), 0, position)
        used, trouble = opening.consumed, opening.trouble
        parts += opening.rejects
        position = ReadPosition(opening.schema, position.line + opening.lines, position.offset + used)
    rest = data[used:]
    if position.schema is not None and rest:
        framed = frame(
            rest,
            dialect=position.schema.dialect,
            columns=len(position.schema.columns),
            line=position.line,
            offset=position.offset,
            at_end=at_end,
            max_row_bytes=max_row_bytes,
        )
        encoded = encode_frames(framed.frames, _codec(position.schema), max_row_bytes)
        parts += (each if isinstance(each, Reject) else (each[0], take_out(each[1])) for each in encoded)
        used += framed.consumed
        position = ReadPosition(position.schema, position.line + framed.lines, position.offset + framed.consumed)
    return ExaminedChunk(tuple(parts), used, position, trouble)


@lru_cache(maxsize=1)
def _codec(schema: Schema) -> JsonCodec | None:
    return JsonCodec(schema) if schema.row_format == "json" else None


# Rejections


class CountedReason(Struct, frozen=True):
    """Why some rows are rejected, how many there are, and where the first ones are: `source:line`."""

    text: str
    count: int
    locations: tuple[str, ...]


class RejectionSummary(Struct, frozen=True):
    """How many rows are rejected, and the first reasons that came up."""

    count: int = 0
    reasons: tuple[CountedReason, ...] = ()


def with_rejects(known: RejectionSummary, found: Iterable[tuple[str, str]]) -> RejectionSummary:
    """The rejections and these, each a reason and a location."""
    count = known.count
    reasons = {reason.text: (reason.count, reason.locations) for reason in known.reasons}
    for text, location in found:
        count += 1
        if text in reasons or len(reasons) < MAX_REASONS:
            so_often, locations = reasons.get(text, (0, ()))
            reasons[text] = so_often + 1, locations if len(locations) == _MAX_LOCATIONS else (*locations, location)
    return RejectionSummary(count, tuple([CountedReason(text, *rest) for text, rest in reasons.items()]))


# Sources


class ExaminedSource(Struct, frozen=True):
    """What is known of a source so far.

    `longest_bytes` is its longest record. `no_text` are rows that are not text in their encoding: they pass, but their
    fields make no category as text. `trouble`, one line, says why the source cannot be read, or not to its end;
    `notes` hold anything else worth knowing, a line each.
    """

    name: str
    schema: Schema | None = None
    rows: int = 0
    longest_bytes: int = 0
    columns: tuple[ColumnFields, ...] = ()
    rejections: RejectionSummary = RejectionSummary()
    no_text: RejectionSummary = RejectionSummary()
    trouble: str = ""
    notes: tuple[str, ...] = ()


def wrong_quotes(trouble: str) -> tuple[str, ...]:
    """A note on how a header with wrong quotes is read; none without `trouble`."""
    return (f"the header's quotes are wrong ({trouble}): its first line is taken as it stands",) if trouble else ()


def with_chunk(source: ExaminedSource, chunk: ExaminedChunk) -> ExaminedSource:
    """What is known of a source after its next rows too."""
    schema = chunk.position.schema
    rejects = [(part.reason.text, f"{source.name}:{part.line}") for part in chunk.parts if isinstance(part, Reject)]
    source = replace(source, schema=schema, rejections=with_rejects(source.rejections, rejects))
    if schema is None:
        return source
    columns = source.columns or (ColumnFields(),) * len(schema.columns)
    rows, longest_bytes, no_text = source.rows, source.longest_bytes, source.no_text
    for part in chunk.parts:
        if isinstance(part, Reject):
            continue
        block, values = part
        rows += len(values)
        longest_bytes = max(longest_bytes, max(map(len, values), default=0))
        columns = _with_rows(columns, block, schema)
        no_text = with_rejects(no_text, _no_text(block, schema.dialect.encoding, source.name))
    return replace(source, rows=rows, longest_bytes=longest_bytes, columns=columns, no_text=no_text)


def _with_rows(columns: tuple[ColumnFields, ...], block: RowBlock, schema: Schema) -> tuple[ColumnFields, ...]:
    for start in range(0, len(block.rows), _ROWS_AT_ONCE):
        rows = block.rows[start : start + _ROWS_AT_ONCE]
        delimiter = schema.dialect.delimiter
        taken = [row.split(delimiter) if block.plain else parse_fields(row, schema.dialect) for row in rows]
        columns = tuple(map(with_fields, columns, zip(*taken, strict=True)))
    return columns


def _no_text(block: RowBlock, encoding: str, source: str) -> Iterator[tuple[str, str]]:
    if _is_text(b"\n".join(block.rows), encoding):
        return
    wrong = [index for index, row in enumerate(block.rows) if not _is_text(row, encoding)]
    for line in lines_of_rows(block, source, wrong):
        yield f"not {encoding.upper()}", f"{source}:{line}"


def _is_text(data: bytes, encoding: str) -> bool:
    if data.isascii():
        return True
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def lines_of_rows(block: RowBlock, source: str, indexes: Iterable[int]) -> Iterator[int]:
    """The lines in which these rows of a block begin, ascending, as split counts them."""
    mark = Mark(source, "", block.line, block.offset, block.eol, block.plain)
    done = 0
    for index in indexes:
        mark = mark.passed(block.rows[done:index])
        done = index
        yield mark.line
