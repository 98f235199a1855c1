"""The beginning of a source: lines to skip, its dialect, its header, and so the schema of its rows."""

import re
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from common.rows.schema import BOM, Dialect, Schema
from services.ingest.parsing.framing import Reject
from services.ingest.parsing.header import Header, frame_header, header_columns
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.patterns import BLANK_LINE, ENDING, count_breaks
from services.ingest.parsing.sampling import choose_dialect
from services.ingest.parsing.sep_line import find_sep_line, may_become_sep_line
from services.ingest.parsing.signatures import find_foreign, find_json

# A megabyte may hold a million rejects, each with its source's name, and has to fit into one transaction.
MOST_REJECTS = 10_000
# A longer header is no list of names, and reading it as one would take all memory.
_MOST_HEADER_BYTES = 10_000_000
_MOST_COLUMNS = 1_000_000
_BLANK_LINE = re.compile(rb"((?:%b)?+)(?:\r\n|[\r\n])" % BOM)
_BLANK_LINES = re.compile(rb"(?:(?:%b)?+(?:\r\n|[\r\n]))*+" % BOM)


class Opening(Struct, frozen=True):
    """What a source begins with: the bytes and physical lines before its first row, and the schema of its rows.

    `schema` is None if the source ended before any header or row. `rejects` are blank lines before the header;
    `unterminated`: all this ends without a line ending. `trouble` is what is wrong with the header's quotes; the header
    is then its first line as it stands.
    """

    schema: Schema | None
    consumed: int
    lines: int
    rejects: tuple[Reject, ...] = ()
    unterminated: bool = False
    trouble: str = ""


def find_opening(
    data: bytes, options: ReadOptions, *, line: int = 1, offset: int = 0, at_end: bool, hurry: bool = False
) -> Opening | None:
    """Read the beginning of a source, usually from its first byte on; None while there is too little of it.

    In a `hurry` the dialect is detected from the complete lines that there are.
    ValueError, one line, if the beginning cannot be read.
    """
    to_skip = max(0, options.skip_lines - (line - 1))
    if offset == 0:
        if not _is_enough(data, options, at_end=at_end):
            return None
        options, named_up_to = find_sep_line(data, options)
        if named_up_to:
            to_skip = 1
            # A `sep=` line alone is not taken: it is read together with what follows it.
            at_end = at_end and bool(data[named_up_to:].strip(b"\r\n"))
    start = _skipped(data, to_skip)
    if start is None:
        return _all_skipped(data) if at_end and data else None
    before = _lines_before(data, start, to_skip, line=line, offset=offset, header=options.header, at_end=at_end)
    if before.end == len(data) or before.is_full:
        return _nothing_yet(before) if data and (at_end or before.is_full) else None
    found = _first_record(data[before.end :], options, at_end=at_end, hurry=hurry)
    if found is None:
        return None
    first, dialect = found
    if options.header == "none":
        return _open_without_header(data, before, first, dialect, options)
    return _open_with_header(before, first, dialect, options)


class _Before(Struct, frozen=True):
    """What precedes the first record: `skipped` lines up to `start`, and blank lines up to `end`.

    `blanks` are the blank lines that are rejected now. `is_full`: they are enough for one call.
    """

    start: int
    end: int
    skipped: int
    blanks: tuple[Reject, ...] = ()

    @property
    def is_full(self) -> bool:
        return len(self.blanks) == MOST_REJECTS

    @property
    def lines(self) -> int:
        return self.skipped + len(self.blanks)


def _lines_before(
    data: bytes, start: int, skipped: int, *, line: int, offset: int, header: str, at_end: bool
) -> _Before:
    """The lines before the first record; without a header, blank ones are left to be judged like what follows them."""
    end = _end_of_blank_lines(data, start)
    if header == "none" and not (at_end and end == len(data)):
        return _Before(start, end, skipped)
    end, blanks = _blank_lines(data, start, line + skipped, offset)
    return _Before(start, end, skipped, blanks)


def _nothing_yet(before: _Before) -> Opening:
    return Opening(None, before.end, before.lines, before.blanks)


def _open_without_header(
    data: bytes, before: _Before, first: Header, dialect: Dialect, options: ReadOptions
) -> Opening:
    columns = tuple([f"#{number}" for number in range(1, 1 + len(first.fields))])
    schema = Schema(None, columns, dialect, options.row_format)
    # Framing judges what precedes the first row with all columns like what follows it.
    mark = len(BOM) if data.startswith(BOM, before.start) else 0
    return Opening(schema, before.start + mark, before.lines, trouble=_find_trouble(first, dialect))


def _open_with_header(before: _Before, first: Header, dialect: Dialect, options: ReadOptions) -> Opening:
    return Opening(
        Schema(first.record, header_columns(first.fields, dialect.encoding), dialect, options.row_format),
        before.end + first.consumed,
        before.lines + first.lines,
        before.blanks,
        unterminated=first.consumed == len(first.record),
        trouble=_find_trouble(first, dialect),
    )


def _first_record(data: bytes, options: ReadOptions, *, at_end: bool, hurry: bool) -> tuple[Header, Dialect] | None:
    """The first record and the dialect of all of them; None while it is not complete."""
    dialect = choose_dialect(data, options, at_end=at_end, hurry=hurry)
    first = frame_header(data, dialect, at_end=at_end) if dialect is not None else None
    if dialect is None or first is None or not _ends_well(first, data, at_end=at_end):
        return None
    _check_length(first.record, dialect.delimiter)
    # A CR at the very end is more often half of CRLF.
    is_half = first.eol == b"\r" and first.consumed == len(data)
    return first, replace(dialect, eol=b"\r\n" if is_half else first.eol)


def _find_trouble(first: Header, dialect: Dialect) -> str:
    """What is wrong with the header's quotes; one behind a blank is no quote at all."""
    behind_blanks = {name.lstrip(b" ")[:1] for name in first.fields if name[:1] == b" "}
    has_blank = dialect.quote and dialect.quote in behind_blanks
    return first.trouble or ("a blank before a quote, which is part of the name then" if has_blank else "")


def _is_enough(data: bytes, options: ReadOptions, *, at_end: bool) -> bool:
    """Whether the first bytes show how to read the source. ValueError if it is no CSV file that can be read."""
    foreign = find_foreign(data, at_end=at_end)
    if foreign == "" and options.header == "first" and not options.skip_lines:
        foreign = find_json(data, at_end=at_end)
    if foreign:
        raise ValueError(foreign)
    may_name_delimiter = not options.skip_lines and not at_end and may_become_sep_line(data)
    return foreign is not None and not may_name_delimiter


def _all_skipped(data: bytes) -> Opening:
    """A source that has ended within the lines to skip."""
    unterminated = not data.endswith((b"\r", b"\n"))
    lines = count_breaks(data, 0, len(data)) + unterminated
    return Opening(None, len(data), lines, unterminated=unterminated)


def _ends_well(first: Header, data: bytes, *, at_end: bool) -> bool:
    """Whether the first record's line ending is known. ValueError if it would double rows of one column."""
    if len(first.fields) > 1 or first.eol != b"\r":
        return True
    behind = data[first.consumed :][:2]
    if behind == b"\r\n":
        raise ValueError(r"its lines end with \r\r\n, which would be two lines each: convert them to \r\n first")
    return at_end or behind != b"\r"


def lacks_header(data: bytes, options: ReadOptions, line: int) -> bool:
    """Whether this beginning of a source, from `line` on and too short to be read, has no row.

    It then holds only lines to skip, blank lines, and a header without its line ending.
    """
    start = _skipped(data, max(0, options.skip_lines - (line - 1)))
    if start is None:
        return True
    ending = ENDING.search(data, _end_of_blank_lines(data, start))
    return options.header == "first" and (ending is None or (ending[0] == b"\r" and ending.end() == len(data)))


def bytes_left(data: bytes, opening: Opening) -> int:
    """How many bytes of an opening to leave: a header, or a line to skip, whose line ending may yet come.

    No row follows it, so nothing is lost; once more of it is written it is read whole.
    """
    if opening.consumed < len(data) or not (opening.unterminated or data.endswith(b"\r")):
        return 0
    if opening.schema is None:
        return len(data) - 1 - max(data.rfind(b"\r"), data.rfind(b"\n")) if opening.unterminated else 0
    header = opening.schema.header
    return 0 if header is None else len(header) + (not opening.unterminated)


def _skipped(data: bytes, lines: int) -> int | None:
    """Where the line after so many lines begins; None while it has not begun."""
    if not lines:
        return 0
    ending = next(islice(ENDING.finditer(data), lines - 1, None), None)
    # A CR at the end may be half of CRLF.
    return None if ending is None or ending.end() == len(data) else ending.end()


def _blank_lines(data: bytes, start: int, line: int, offset: int) -> tuple[int, tuple[Reject, ...]]:
    """Where the first line that is not blank begins, and the blank ones before it; one may hold a byte order mark."""
    found: list[Reject] = []
    while len(found) < MOST_REJECTS and (ending := _BLANK_LINE.match(data, start)):
        found.append(Reject(ending[1], line + len(found), offset + start, BLANK_LINE))
        start = ending.end()
    return start, tuple(found)


def _check_length(record: bytes, delimiter: bytes) -> None:
    if len(record) > _MOST_HEADER_BYTES or record.count(delimiter) >= _MOST_COLUMNS:
        raise ValueError(f"its first record has {len(record)} bytes, too many for column names: is it a CSV file?")


def _end_of_blank_lines(data: bytes, start: int) -> int:
    found = _BLANK_LINES.match(data, start)
    return found.end() if found else start
