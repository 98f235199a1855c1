"""The beginning of a source: lines to skip, its dialect, its header, and so the schema of its rows."""

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from common.rows.schema import BOM, Dialect, RowFormat, Schema
from services.ingest.parsing.encodings import check_mark, find_encoding
from services.ingest.parsing.framing import Reject
from services.ingest.parsing.header import Header, frame_header, header_columns
from services.ingest.parsing.patterns import ENDING, count_breaks
from services.ingest.parsing.signatures import find_foreign, find_json
from services.ingest.parsing.sniffing import find_dialect

# So much of a source is looked at for its dialect, more where that is few lines, less where it is many: more costs time
# and changes nothing.
SAMPLE_BYTES = 16_384
_FEW_LINES, _MANY_LINES = 20, 400
LONGEST_SAMPLE_BYTES = 2**17

# A megabyte may hold a million of them, each with its source's name, and has to fit into a transaction.
MOST_REJECTS = 10_000
# What is longer is no list of names, and to read it as one would take all memory.
_MOST_HEADER_BYTES = 10_000_000
_MOST_COLUMNS = 1_000_000
_BLANK = "blank line"
_BLANK_LINE = re.compile(rb"((?:%b)?+)(?:\r\n|[\r\n])" % BOM)
_BLANK_LINES = re.compile(rb"(?:(?:%b)?+(?:\r\n|[\r\n]))*+" % BOM)
# What Excel writes and obeys, and no one else.
_SEP_LINE = re.compile(rb"(?:%b)?+\"?sep=(.)\"?(\r\n|[\r\n]|\Z)" % BOM, re.IGNORECASE)
_SEP_BYTES = len(BOM) + len(b'"sep=;"\r\n')


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How sources are to be read. `delimiter` and `quote` are None where they are to be found out."""

    header: Literal["first", "none"] = "first"
    delimiter: bytes | None = b","
    quote: bytes | None = b'"'
    encoding: str = "utf-8"
    skip_lines: int = 0
    row_format: RowFormat = "csv"

    @property
    def is_auto(self) -> bool:
        """Whether something is to be found out."""
        return self.delimiter is None or self.quote is None


@dataclass(frozen=True, slots=True)
class Opening:
    """What a source begins with: the bytes and physical lines before its first row, and the schema of its rows.

    `schema` is None for a source that has ended before any header or row. `rejects` are blank lines before the header;
    `unterminated` says that all this ends without a line ending. `trouble` is what is wrong with the header's quotes,
    which is its first line as it stands then.
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
    """Read the beginning of a source, as a rule from its first byte on; None while there is too little of it.

    In a `hurry` what is to be found out is found out from the complete lines that there are.
    ValueError, one line, if it cannot be read.
    """
    if offset == 0 and not _is_enough(data, options, at_end=at_end):
        return None
    to_skip = max(0, options.skip_lines - (line - 1))
    if offset == 0 and not options.skip_lines and (named := _SEP_LINE.match(data)):
        options, to_skip = _obey(options, named[1]), 1
        # Alone it is not taken: what comes behind it is read with it.
        at_end = at_end and bool(data[named.end() :].strip(b"\r\n"))
    start = _skipped(data, to_skip)
    if start is None:
        return _all_skipped(data) if at_end and data else None
    begin = _end_of_blank_lines(data, start)
    blanks: tuple[Reject, ...] = ()
    if options.header == "first" or (at_end and begin == len(data)):
        begin, blanks = _blank_lines(data, start, line + to_skip, offset)
    if begin == len(data) or len(blanks) == MOST_REJECTS:
        is_enough = at_end or len(blanks) == MOST_REJECTS
        return Opening(None, begin, to_skip + len(blanks), blanks) if is_enough and data else None
    rest = data[begin:]
    dialect = _dialect(rest, options, at_end=at_end, hurry=hurry)
    first = frame_header(rest, dialect, at_end=at_end) if dialect is not None else None
    if dialect is None or first is None or not _ends_well(first, rest, at_end=at_end):
        return None
    _check_length(first.record, dialect.delimiter)
    # A CR that all ends with is more often half of CRLF.
    is_half = first.eol == b"\r" and begin + first.consumed == len(data)
    dialect = replace(dialect, eol=b"\r\n" if is_half else first.eol)
    if options.header == "none":
        # What is before the first row that tells how many columns there are is judged as what is behind it.
        columns = tuple([f"#{number}" for number in range(1, 1 + len(first.fields))])
        mark = len(BOM) if data.startswith(BOM, start) else 0
        trouble = _find_trouble(first, dialect)
        return Opening(Schema(None, columns, dialect, options.row_format), start + mark, to_skip, trouble=trouble)
    schema = Schema(first.record, header_columns(first.fields, dialect.encoding), dialect, options.row_format)
    unterminated = first.consumed == len(first.record)
    lines = to_skip + len(blanks) + first.lines
    return Opening(schema, begin + first.consumed, lines, blanks, unterminated, _find_trouble(first, dialect))


def _find_trouble(first: Header, dialect: Dialect) -> str:
    """What is wrong with the header's quotes; one behind a blank is no quote at all."""
    behind_blanks = {name.lstrip(b" ")[:1] for name in first.fields if name[:1] == b" "}
    has_blank = dialect.quote and dialect.quote in behind_blanks
    return first.trouble or ("a blank before a quote, which is part of the name then" if has_blank else "")


def _is_enough(data: bytes, options: ReadOptions, *, at_end: bool) -> bool:
    """Whether a source's first bytes tell how it is to be read. ValueError where it is no CSV that can be."""
    foreign = find_foreign(data, at_end=at_end)
    if foreign == "" and options.header == "first" and not options.skip_lines:
        foreign = find_json(data, at_end=at_end)
    if foreign:
        raise ValueError(foreign)
    may_name_delimiter = not options.skip_lines and not at_end and len(data) < _SEP_BYTES and _may_become_sep(data)
    return foreign is not None and not may_name_delimiter


def _all_skipped(data: bytes) -> Opening:
    """A source that has ended within the lines to skip."""
    unterminated = not data.endswith((b"\r", b"\n"))
    lines = count_breaks(data, 0, len(data)) + unterminated
    return Opening(None, len(data), lines, unterminated=unterminated)


def _ends_well(first: Header, data: bytes, *, at_end: bool) -> bool:
    """Whether the first record's line ending is known. ValueError where rows of one column would be doubled by it."""
    if len(first.fields) > 1 or first.eol != b"\r":
        return True
    behind = data[first.consumed :][:2]
    if behind == b"\r\n":
        raise ValueError(r"its lines end with \r\r\n, which would be two lines each: convert them to \r\n first")
    return at_end or behind != b"\r"


def _may_become_sep(data: bytes) -> bool:
    """Whether the first line may be Excel's, of which the rest has not come."""
    line = data.removeprefix(BOM).lstrip(b'"').lower()
    return line[:4] == b"sep="[: len(line)] and b"\n" not in line and b"\r" not in line[:-1]


def _obey(options: ReadOptions, mark: bytes) -> ReadOptions:
    """What is options of a source whose first line names its delimiter. ValueError where it is not to be found out."""
    name = mark.decode("latin-1")
    if options.delimiter is not None:
        raise ValueError(
            f"its first line is Excel's sep={name}: set DELIMITER=auto, which obeys it, or SKIP_LINES=1 and DELIMITER"
        )
    try:
        check_mark(name, "tab")
    except ValueError:
        raise ValueError(f"its first line is Excel's sep={name}, which names no delimiter: set SKIP_LINES=1") from None
    if find_encoding(options.encoding).holds(mark):
        raise ValueError(
            f"its first line is Excel's sep={name}, which may be part of a character in ENCODING={options.encoding}: "
            "convert it to utf-8"
        )
    return replace(options, delimiter=mark)


def lacks_header(data: bytes, options: ReadOptions, line: int) -> bool:
    """Whether there is no row in this beginning of a source, from `line` on, of which there is too little.

    It is lines to skip, blank lines, and a header without its line ending.
    """
    start = _skipped(data, max(0, options.skip_lines - (line - 1)))
    if start is None:
        return True
    ending = ENDING.search(data, _end_of_blank_lines(data, start))
    return options.header == "first" and (ending is None or (ending[0] == b"\r" and ending.end() == len(data)))


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


def _dialect(data: bytes, options: ReadOptions, *, at_end: bool, hurry: bool) -> Dialect | None:
    """What is options, or what the data seem to be written with; None while there is too little to tell."""
    if options.delimiter is not None and options.quote is not None:
        return Dialect(options.delimiter, options.quote, encoding=options.encoding)
    size = _sample_size(data)
    if size is None:
        if not at_end and not hurry:
            return None
        size = len(data)
    found = find_dialect(
        data[:size],
        delimiter=options.delimiter,
        quote=options.quote,
        encoding=options.encoding,
        headed=options.header == "first",
        whole=at_end and size == len(data),
    )
    return None if found is None else found.dialect


def _sample_size(data: bytes) -> int | None:
    """How much of the data is looked at, whole lines; None where there is not enough yet."""
    end = 0
    for number, ending in enumerate(ENDING.finditer(data[:LONGEST_SAMPLE_BYTES]), start=1):
        end = ending.end()
        if number >= _MANY_LINES or (number >= _FEW_LINES and end >= SAMPLE_BYTES):
            return end
    return (end or LONGEST_SAMPLE_BYTES) if len(data) >= LONGEST_SAMPLE_BYTES else None
