"""A source's first record: its header and its usual line ending."""

from dataclasses import dataclass

from common.row import parse_fields
from common.schema import BOM, Dialect
from services.ingest.patterns import ENDING, NOT_CLOSED, TEXT_FOLLOWS, count_breaks, fields_end


@dataclass(frozen=True, slots=True)
class Header:
    """A source's first record, with its byte order mark if it has one, and the line ending behind it."""

    record: bytes
    eol: bytes
    consumed: int
    lines: int


def frame_header(data: bytes, dialect: Dialect, *, at_end: bool) -> Header | None:
    """Take the first record from the start of a source; None while it is not complete, or if there is not a byte.

    A quote behind a byte order mark opens a field. ValueError if the quotes are wrong.
    """
    start = len(BOM) if data.startswith(BOM) else 0
    stop = fields_end(data, start, len(data), dialect.delimiter, dialect.quote)
    if stop == len(data):
        return Header(data, b"\n", len(data), count_breaks(data, 0, len(data)) + 1) if at_end and data else None
    if data[stop] in dialect.quote:
        if at_end:
            raise ValueError(f"the header: {NOT_CLOSED}")
        return None
    ending = ENDING.match(data, stop)
    if ending is None:
        raise ValueError(f"the header: {TEXT_FOLLOWS}")
    if ending.end() == len(data) and ending[0] == b"\r" and not at_end:
        return None
    return Header(data[:stop], ending[0], ending.end(), count_breaks(data, 0, ending.end()))


def header_columns(record: bytes, dialect: Dialect) -> tuple[str, ...]:
    """Read the column names: the whole record in its encoding, or else as latin-1, without a byte order mark."""
    names = parse_fields(record.removeprefix(BOM), dialect)
    try:
        return tuple([name.decode(dialect.encoding) for name in names])
    except UnicodeDecodeError:
        return tuple([name.decode("latin-1") for name in names])
