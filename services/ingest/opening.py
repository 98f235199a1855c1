"""The beginning of a source: lines to skip, its dialect, its header, and so the schema of its rows."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from common.row import parse_fields
from common.schema import BOM, Dialect, RowFormat, Schema
from services.ingest.framing import Reject
from services.ingest.header import frame_header, header_columns
from services.ingest.patterns import ENDING, count_breaks
from services.ingest.signatures import find_foreign

# So much of a source is looked at for its dialect: more costs time and changes nothing.
SAMPLE_BYTES = 16_384

# A megabyte may hold a million of them, each with its source's name, and has to fit into a transaction.
MOST_REJECTS = 10_000
# What is longer is no list of names, and to read it as one would take all memory.
_MOST_HEADER_BYTES = 10_000_000
_MOST_COLUMNS = 1_000_000
_BLANK = "blank line"
_BLANK_LINE = re.compile(rb"((?:%b)?+)(?:\r\n|[\r\n])" % BOM)
_BLANK_LINES = re.compile(rb"(?:(?:%b)?+(?:\r\n|[\r\n]))*+" % BOM)

# From a sample to the delimiter and the quote that it seems to be written with.
Sniff = Callable[[bytes], tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How sources are to be read. `delimiter` and `quote` are None where they are to be found out."""

    header: Literal["first", "none"] = "first"
    delimiter: bytes | None = b","
    quote: bytes | None = b'"'
    encoding: str = "utf-8"
    skip_lines: int = 0
    row_format: RowFormat = "csv"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a source begins with: the bytes and physical lines before its first row, and the schema of its rows.

    `schema` is None for a source that has ended before any header or row. `rejects` are blank lines before the header;
    `unterminated` says that all this ends without a line ending.
    """

    schema: Schema | None
    consumed: int
    lines: int
    rejects: tuple[Reject, ...] = ()
    unterminated: bool = False


def find_opening(
    data: bytes, wanted: Wanted, sniff: Sniff, *, line: int = 1, offset: int = 0, at_end: bool
) -> Opening | None:
    """Read the beginning of a source, as a rule from its first byte on; None while there is too little of it.

    ValueError, one line, if it cannot be read.
    """
    foreign = find_foreign(data, at_end=at_end) if offset == 0 else ""
    if foreign is None:
        return None
    if foreign:
        raise ValueError(foreign)
    to_skip = max(0, wanted.skip_lines - (line - 1))
    start = _skipped(data, to_skip)
    if start is None:
        unterminated = not data.endswith((b"\r", b"\n"))
        lines = count_breaks(data, 0, len(data)) + unterminated
        return Opening(None, len(data), lines, unterminated=unterminated and bool(data)) if at_end and data else None
    begin = _end_of_blank_lines(data, start)
    blanks: tuple[Reject, ...] = ()
    if wanted.header == "first" or (at_end and begin == len(data)):
        begin, blanks = _blank_lines(data, start, line + to_skip, offset)
    if begin == len(data) or len(blanks) == MOST_REJECTS:
        is_enough = at_end or len(blanks) == MOST_REJECTS
        return Opening(None, begin, to_skip + len(blanks), blanks) if is_enough and data else None
    dialect = _dialect(data[begin:], wanted, sniff, at_end=at_end)
    first = frame_header(data[begin:], dialect, at_end=at_end) if dialect is not None else None
    if dialect is None or first is None:
        return None
    _check_length(first.record, dialect.delimiter)
    # A CR that all ends with is more often half of CRLF.
    is_half = first.eol == b"\r" and begin + first.consumed == len(data)
    dialect = replace(dialect, eol=b"\r\n" if is_half else first.eol)
    if wanted.header == "none":
        # What is before the first row that tells how many columns there are is judged as what is behind it.
        record = first.record.removeprefix(BOM)
        columns = tuple([f"#{number}" for number in range(1, 1 + len(parse_fields(record, dialect)))])
        mark = len(BOM) if data.startswith(BOM, start) else 0
        return Opening(Schema(None, columns, dialect, wanted.row_format), start + mark, to_skip)
    schema = Schema(first.record, header_columns(first.record, dialect), dialect, wanted.row_format)
    unterminated = first.consumed == len(first.record)
    return Opening(schema, begin + first.consumed, to_skip + len(blanks) + first.lines, blanks, unterminated)


def lacks_header(data: bytes, wanted: Wanted, line: int) -> bool:
    """Whether there is no row in this beginning of a source, from `line` on, of which there is too little.

    It is lines to skip, blank lines, and a header without its line ending.
    """
    start = _skipped(data, max(0, wanted.skip_lines - (line - 1)))
    if start is None:
        return True
    ending = ENDING.search(data, _end_of_blank_lines(data, start))
    return wanted.header == "first" and (ending is None or (ending[0] == b"\r" and ending.end() == len(data)))


def bytes_left(data: bytes, opening: Opening) -> int:
    """How many bytes of an opening are better left: a header, or a line to skip, whose line ending may yet come.

    There is no row behind it: nothing is lost, and once more of it is written it is read whole.
    """
    if opening.consumed < len(data) or not (opening.unterminated or data.endswith(b"\r")):
        return 0
    if opening.schema is None:
        return len(data) - 1 - max(data.rfind(b"\r"), data.rfind(b"\n")) if opening.unterminated else 0
    header = opening.schema.header
    return 0 if header is None else len(header) + (not opening.unterminated)


def _skipped(data: bytes, lines: int) -> int | None:
    """Where the line behind so many lines begins; None while it has not begun."""
    if not lines:
        return 0
    ending = next(islice(ENDING.finditer(data), lines - 1, None), None)
    # A CR at the end may be half of CRLF.
    return None if ending is None or ending.end() == len(data) else ending.end()


def _blank_lines(data: bytes, start: int, line: int, offset: int) -> tuple[int, tuple[Reject, ...]]:
    """Where the first line that is not blank begins, and the blank ones before it; one may hold a byte order mark."""
    found: list[Reject] = []
    while len(found) < MOST_REJECTS and (ending := _BLANK_LINE.match(data, start)):
        found.append(Reject(ending[1], line + len(found), offset + start, _BLANK))
        start = ending.end()
    return start, tuple(found)


def _check_length(record: bytes, delimiter: bytes) -> None:
    if len(record) > _MOST_HEADER_BYTES or record.count(delimiter) >= _MOST_COLUMNS:
        raise ValueError(f"its first record has {len(record)} bytes, which are no column names: is it a CSV file?")


def _end_of_blank_lines(data: bytes, start: int) -> int:
    found = _BLANK_LINES.match(data, start)
    return found.end() if found else start


def _dialect(data: bytes, wanted: Wanted, sniff: Sniff, *, at_end: bool) -> Dialect | None:
    """What is wanted, or what the data seem to be written with; None while there is too little to tell."""
    delimiter, quote = wanted.delimiter, wanted.quote
    if delimiter is None or quote is None:
        if len(data) < SAMPLE_BYTES and not at_end:
            return None
        found_delimiter, found_quote = sniff(data[:SAMPLE_BYTES])
        delimiter = found_delimiter if delimiter is None else delimiter
        quote = found_quote if quote is None else quote
    return Dialect(delimiter, quote, encoding=wanted.encoding)
