"""The bytes of a CSV file → its records, read anew: no code of ingest is used. Pure.

A record ends at LF, CRLF or a lone CR outside quotes, and a quote counts at the beginning of a field only. A record of
another width is no row; of one whose quotes are wrong, or that is quoted and too long, only the first line is no row.
"""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from itertools import chain
from typing import NamedTuple

from common.rows.reasons import Code
from ops.verify.rows.long_lines import PartialLine, WholeText


class Line(NamedTuple):
    """A line, where it begins, and its number from 1. `is_late`: it is the rest of a line that was taken as ended.

    `whole` is there if the text was shortened.
    """

    text: bytes
    eol: bytes
    offset: int
    number: int
    is_late: bool = False
    whole: WholeText | None = None


class CsvRecord(NamedTuple):
    """A record and where it begins; `code` says why it is no row, None if it is one."""

    text: bytes
    eol: bytes
    line: int
    offset: int
    code: Code | None
    fields: Sequence[bytes] = ()


class Rules(NamedTuple):
    """How records are read; an empty quote quotes nothing."""

    delimiter: bytes
    quote: bytes
    columns: int
    longest: int


class Wrong(Enum):
    """What is wrong with the quotes of a text."""

    # The text ends within quotes.
    OPEN = auto()
    # Text follows a closing quote.
    BROKEN = auto()


def lines_of(chunks: Iterable[bytes], number: int = 1, longest: int = sys.maxsize, cut: int = 0) -> Iterator[Line]:
    """The lines of a file that comes in chunks, none of them empty; the first has this number.

    A line longer than `longest` may be shortened, but it keeps everything before the offset `cut`, where `cut_at` may
    cut it, and more than `longest` bytes after that.
    """
    offset = 0
    held = PartialLine(longest)
    # A CR at the end of a chunk may be half of CRLF.
    half = b""
    for chunk in chain(chunks, (b"",)):
        pieces = (half + chunk).splitlines(keepends=True)
        rest = pieces.pop() if chunk and not pieces[-1].endswith(b"\n") else b""
        for piece in pieces:
            text = piece.rstrip(b"\r\n")
            size, whole = len(piece), None
            eol = piece[len(text) :]
            if held.size:
                held.add(text)
                size, text, whole = held.size + len(eol), held.text, held.whole
                held = PartialLine(longest)
            yield Line(text, eol, offset, number, whole=whole)
            offset += size
            number += 1
        half = b"\r" if rest.endswith(b"\r") else b""
        held.keep(longest + max(0, cut - offset))
        held.add(rest.removesuffix(b"\r"))
    if held.size:
        yield Line(held.text, b"", offset, number, whole=held.whole)


def cut_at(lines: Iterable[Line], offsets: Iterable[int]) -> Iterator[Line]:
    """The lines, cut where a line was taken as ended before its rest came. `offsets` ascend."""
    waiting = deque(offsets)
    for line in lines:
        rest = line
        while waiting and waiting[0] < rest.offset + len(rest.text):
            size = waiting.popleft() - rest.offset
            if size > 0:
                yield rest._replace(text=rest.text[:size], eol=b"")
                rest = Line(rest.text[size:], line.eol, rest.offset + size, line.number, is_late=True)
        yield rest


def split_fields(text: bytes, delimiter: bytes, quote: bytes) -> list[bytes] | Wrong:
    """The fields of a record, without their quotes."""
    if not quote or quote not in text:
        return text.split(delimiter)
    fields: list[bytes] = []
    at = 0
    while True:
        if text.startswith(quote, at):
            end = closing(text, quote, at + 1)
            if end < 0:
                return Wrong.OPEN
            fields.append(text[at + 1 : end].replace(quote * 2, quote))
            at = end + 1
        else:
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            fields.append(text[at:end])
            at = end
        if at == len(text):
            return fields
        if not text.startswith(delimiter, at):
            return Wrong.BROKEN
        at += 1


def closing(text: bytes, quote: bytes, at: int) -> int:
    """Where the quotes are closed that are open at `at`; -1 if they are not."""
    at = text.find(quote, at)
    while at >= 0 and text.startswith(quote, at + 1):
        at = text.find(quote, at + 2)
    return at


def records_of(lines: Iterable[Line], rules: Rules) -> Iterator[CsvRecord]:
    """The records of these lines, and those lines that are none."""
    source = iter(lines)
    # Read ahead within quotes that turned out to be wrong.
    waiting: deque[Line] = deque()
    while (line := _next(waiting, source)) is not None:
        text = line.text
        if line.is_late:
            yield _refused(line, Code.LATE)
        elif len(text) > rules.longest:
            yield _refused(line, Code.TOO_LONG)
        elif not text and rules.columns > 1:
            yield _refused(line, Code.BLANK_LINE)
        elif not rules.quote or rules.quote not in text:
            yield _record(line, text, line.eol, text.split(rules.delimiter), rules)
        else:
            yield _quoted(line, waiting, source, rules)


def wholes_of(lines: Iterable[Line], rules: Rules) -> Iterator[Line]:
    """Each record of these lines as one line, whatever its fields are; where quotes are wrong, each line."""
    source = iter(lines)
    waiting: deque[Line] = deque()
    for first in source:
        line: Line | None = first
        while line is not None:
            if not rules.quote or rules.quote not in line.text:
                yield line
            else:
                record = _quoted(line, waiting, source, rules)
                yield Line(record.text, record.eol, record.offset, record.line)
            line = waiting.popleft() if waiting else None


def _next(waiting: deque[Line], source: Iterator[Line]) -> Line | None:
    return waiting.popleft() if waiting else next(source, None)


def _quoted(line: Line, waiting: deque[Line], source: Iterator[Line], rules: Rules) -> CsvRecord:
    """The record that begins with a line that holds quotes, from as many lines as it takes."""
    taken, pieces = [line], [line.text]
    size = len(line.text)
    fields = split_fields(line.text, rules.delimiter, rules.quote)
    while fields is Wrong.OPEN and taken[-1].eol and size <= rules.longest:
        following = _next(waiting, source)
        if following is None:
            break
        pieces += [taken[-1].eol, following.text]
        size += len(pieces[-2]) + len(pieces[-1])
        taken.append(following)
        if rules.quote in following.text:
            # Only now: to read it again for each line takes quadratic time.
            pieces = [b"".join(pieces)]
            fields = split_fields(pieces[0], rules.delimiter, rules.quote)
    if isinstance(fields, Wrong) or size > rules.longest:
        waiting.extendleft(reversed(taken[1:]))
        return _refused(line, Code.QUOTES)
    return _record(line, b"".join(pieces), taken[-1].eol, fields, rules)


def _record(line: Line, text: bytes, eol: bytes, fields: Sequence[bytes], rules: Rules) -> CsvRecord:
    code = None if len(fields) == rules.columns else Code.FIELDS
    return CsvRecord(text, eol, line.number, line.offset, code, fields)


def _refused(line: Line, code: Code) -> CsvRecord:
    return CsvRecord(line.text, line.eol, line.number, line.offset, code)
