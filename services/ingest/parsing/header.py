"""A source's first record: its header and its usual line ending."""

from msgspec import Struct

from common.rows.codec import parse_fields
from common.rows.schema import BOM, Dialect
from services.ingest.parsing.patterns import (
    NOT_CLOSED,
    count_breaks,
    explain_text,
    fields_end,
    line_end,
    literal_fields,
)

# The longest header with line breaks in its names: one stray quote must not turn all the data into a header.
LONGEST_BROKEN_BYTES = 65_536


class Header(Struct, frozen=True):
    """A source's first record, with its byte order mark if it has one, and the line ending after it.

    `trouble` says what is wrong with its quotes. The record is then the first physical line, and names whose quotes
    are wrong are as they stand there.
    """

    record: bytes
    fields: tuple[bytes, ...]
    eol: bytes
    consumed: int
    lines: int
    trouble: str = ""


def frame_header(data: bytes, dialect: Dialect, *, at_end: bool) -> Header | None:
    """The first record at the start of a source; None while it is incomplete, or if there is no byte.

    A quote after a byte order mark opens a field. More data never changes what was found.
    """
    start = len(BOM) if data.startswith(BOM) else 0
    stop = fields_end(data, start, len(data), dialect.delimiter, dialect.quote)
    end, after = line_end(data, start)
    opened = stop < len(data) and data[stop] in dialect.quote
    broken = end < (len(data) if opened else stop)
    too_long = broken and (len(data) if opened else stop) - start > LONGEST_BROKEN_BYTES
    if too_long or (opened and at_end):
        return _line(data, start, dialect, f"{NOT_CLOSED} in its line", at_end=at_end)
    if opened:
        return None
    if stop == len(data):
        fields = tuple(parse_fields(data[start:], dialect)) if at_end and data else ()
        return Header(data, fields, b"\n", len(data), count_breaks(data, 0, len(data)) + 1) if fields else None
    if data[stop] not in b"\r\n":
        return _line(data, start, dialect, explain_text(data, stop, dialect.quote), at_end=at_end)
    end, after = line_end(data, stop)
    if _may_go_on(data, end, after, at_end=at_end):
        return None
    fields = tuple(parse_fields(data[start:stop], dialect))
    return Header(data[:stop], fields, data[end:after], after, count_breaks(data, 0, after))


def _line(data: bytes, start: int, dialect: Dialect, trouble: str, *, at_end: bool) -> Header | None:
    """The first physical line as the header, because its quotes are wrong."""
    end, after = line_end(data, start)
    if _may_go_on(data, end, after, at_end=at_end):
        return None
    fields = tuple(literal_fields(data[start:end], dialect.delimiter, dialect.quote))
    return Header(data[:end], fields, data[end:after] or b"\n", after, 1, trouble)


def _may_go_on(data: bytes, end: int, after: int, *, at_end: bool) -> bool:
    """Whether the line's ending, or what may be its second half, has not come yet."""
    return not at_end and after == len(data) and data[end:after] in (b"", b"\r")


def header_columns(fields: tuple[bytes, ...], encoding: str) -> tuple[str, ...]:
    """The column names: all of them in their encoding, or else all as latin-1."""
    try:
        return tuple([name.decode(encoding) for name in fields])
    except UnicodeDecodeError:
        return tuple([name.decode("latin-1") for name in fields])
