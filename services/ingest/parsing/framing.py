"""The bytes of a source → its records.

A record ends at LF, CRLF or a lone CR outside quotes. A quote counts at the start of a field only; in an unquoted
field it is an ordinary byte. Bytes that cannot be read as a row become a Reject, and reading goes on after them:

- a record that is well formed but has the wrong number of fields is rejected whole;
- of a record whose quotes are wrong, or that is quoted and longer than a row may be, only the first physical line is
  rejected and the next line begins a record, so that one stray quote costs one line, not everything to the next quote.

Whatever the quotes, one call takes time linear in its data. Line breaks inside a record are all within quotes, so
where quotes go wrong at one point for one line, they do so for every line before it that ends within quotes: that
point is found once and kept (`_Beyond`), and each line is then judged by itself and this point.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Literal

from msgspec import Struct

from common.rows.codec import misfit, parse_fields
from common.rows.loops import split_uniform_lines
from common.rows.reasons import Code, Reason
from common.rows.schema import Dialect
from services.ingest.parsing.patterns import (
    BLANK_LINE,
    NOT_CLOSED,
    TEXT_FOLLOWS,
    count_breaks,
    explain_text,
    fields_end,
    line_end,
    rest_pattern,
    row_pattern,
)

# How quotes can turn out for a line that ends within them.
_How = Literal["ends", "breaks", "open"]

_NOT_CLOSED = Reason(Code.QUOTES, NOT_CLOSED)


class RowBlock(Struct, frozen=True):
    """Consecutive rows of a source with the same line ending.

    The first row begins at `line` (from 1, physical) and `offset` (bytes). `eol` is empty for a last row without a
    line ending. `plain`: no row has a quote byte.
    """

    rows: Sequence[bytes]
    eol: bytes
    line: int
    offset: int
    plain: bool


class Reject(Struct, frozen=True):
    """Bytes at `line` and `offset` that are no row, without their line ending."""

    raw: bytes
    line: int
    offset: int
    reason: Reason


class Framed(Struct, frozen=True):
    """The complete records of some data, and how many bytes and physical lines they take."""

    frames: list[RowBlock | Reject]
    consumed: int
    lines: int


def frame(
    data: bytes,
    *,
    dialect: Dialect,
    columns: int,
    line: int,
    offset: int,
    at_end: bool,
    max_row_bytes: int,
    most_rejects: float = math.inf,
) -> Framed:
    """Take the complete records from `data`, which begins a record at `line` and `offset` of its source.

    Give the bytes after `consumed` again, with more after them. If they are more than `max_row_bytes` + 1, they are
    one physical line whose end has not come yet, unless there are `most_rejects`, which are enough for one call. With
    `at_end` everything else is consumed.
    How a source is cut into data makes no difference to its rows and rejects.
    """
    eol = dialect.eol
    rules = _Rules(dialect, columns, max_row_bytes, at_end, most_rejects)
    # A CR at the end may be half of CRLF, so lines that end with CR alone are left to _frame_any.
    cut = data.rfind(eol) + len(eol) if eol.endswith(b"\n") and eol in data else 0
    marks = dialect.delimiter, dialect.quote, eol
    rows = split_uniform_lines(data[:cut], *marks, columns, max_row_bytes) if cut else None
    if rows is None:
        return _frame_any(data, line, offset, rules)
    block = RowBlock(rows, eol, line, offset, plain=True)
    rest = data[cut:]
    if not rest or not (at_end or b"\r" in rest or b"\n" in rest):
        return Framed([block], cut, len(rows))
    tail = _frame_any(rest, line + len(rows), offset + cut, rules)
    return Framed([block, *tail.frames], cut + tail.consumed, len(rows) + tail.lines)


class _Rules(Struct, frozen=True):
    """What stays the same while data is framed."""

    dialect: Dialect
    columns: int
    max_row_bytes: int
    at_end: bool
    most_rejects: float = math.inf


class _Beyond(Struct, frozen=True):
    """Where the quotes of a line that ends within them lead.

    At `stop` the record ends, or breaks because text follows a closing quote, or the data ends with the quotes open.
    """

    stop: int
    how: _How


def _frame_any(data: bytes, line: int, offset: int, rules: _Rules) -> Framed:
    """Frame record by record."""
    if not rules.at_end and data.endswith(b"\r"):
        data = data[:-1]  # it may be half of CRLF: it comes again with the byte after it
    frames: list[RowBlock | Reject] = []
    consumed, next_line = 0, line
    for (eol, reason), group in groupby(_records(data, rules), key=itemgetter(2, 3)):
        spans = [(start, end) for start, end, _, _ in group]
        begin, end = spans[0][0], spans[-1][1]
        if reason is None:
            rows = [data[start:stop] for start, stop in spans]
            quote = rules.dialect.quote
            plain = not quote or data.find(quote, begin, end) < 0
            frames.append(RowBlock(rows, eol, next_line, offset + begin, plain))
            next_line += count_breaks(data, begin, end) + 1
        else:
            for start, stop in spans:
                frames.append(Reject(data[start:stop], next_line, offset + start, reason))
                next_line += count_breaks(data, start, stop) + 1
        consumed = end + len(eol)
    return Framed(frames, consumed, next_line - line)


def _records(data: bytes, rules: _Rules) -> Iterator[tuple[int, int, bytes, Reason | None]]:
    """Each complete record's start, end and line ending, and the reason if it is no row."""
    match_row = row_pattern(rules.dialect.delimiter, rules.dialect.quote, rules.columns).match
    start, beyond = 0, _Beyond(-1, "open")
    rejects = 0
    while start < len(data) and rejects < rules.most_rejects:
        # Before `beyond.stop` the pattern would run through the same lines again for each of them.
        row = match_row(data, start, start + rules.max_row_bytes + 2) if start > beyond.stop else None
        if row is not None and row.end(1) - start <= rules.max_row_bytes:
            yield start, row.end(1), row[2], None
            start = row.end()
            continue
        end, after = line_end(data, start)
        if end == after and not rules.at_end:
            return
        reason = _judge_line(data, start, end, rules)
        if reason == _NOT_CLOSED:
            if after >= beyond.stop:
                beyond = _look_beyond(data, after, rules)
            fits = beyond.stop - start <= rules.max_row_bytes
            if fits and beyond.how == "open" and not rules.at_end:
                return
            if fits and beyond.how == "ends":
                end, after = line_end(data, beyond.stop)
                reason = _judge_fields(data[start:end], rules)
            else:
                reason = _judge_beyond(beyond.how, rules.max_row_bytes, fits=fits)
        rejects += reason is not None
        yield start, end, data[end:after], reason
        start = after


def _judge_line(data: bytes, start: int, end: int, rules: _Rules) -> Reason | None:
    """Why the physical line is no row; None if it is one. `_NOT_CLOSED`: the lines after it decide."""
    if end - start > rules.max_row_bytes:
        return Reason(Code.TOO_LONG, f"a row of {end - start} bytes, at most {rules.max_row_bytes} are allowed")
    if start == end and rules.columns > 1:
        is_odd = rules.dialect.eol == b"\r" and data[end : end + 2] == b"\r\n"
        return Reason(Code.BLANK_LINE, rf"{BLANK_LINE.text} (do lines end with \r\r\n?)") if is_odd else BLANK_LINE
    stop = fields_end(data, start, end, rules.dialect.delimiter, rules.dialect.quote)
    if stop == end:
        return _judge_fields(data[start:end], rules)
    if data[stop] in rules.dialect.quote:
        return _NOT_CLOSED
    return Reason(Code.QUOTES, explain_text(data, stop, rules.dialect.quote))


def _judge_fields(record: bytes, rules: _Rules) -> Reason | None:
    found = len(parse_fields(record, rules.dialect))
    if found == rules.columns:
        return None
    delimiter, quote = rules.dialect.delimiter, rules.dialect.quote
    has_blank = quote and delimiter + b" " + quote in record
    return Reason(Code.FIELDS, misfit(found, rules.columns) + (" (a blank before a quote?)" if has_blank else ""))


def _judge_beyond(how: _How, max_row_bytes: int, *, fits: bool) -> Reason:
    if not fits:
        return Reason(Code.QUOTES, f"{NOT_CLOSED} within {max_row_bytes} bytes")
    return Reason(Code.QUOTES, f"{TEXT_FOLLOWS} further down") if how == "breaks" else _NOT_CLOSED


def _look_beyond(data: bytes, start: int, rules: _Rules) -> _Beyond:
    """Where the record that is within quotes at `start` leads."""
    rest = rest_pattern(rules.dialect.delimiter, rules.dialect.quote).match(data, start)
    stop, closed = (rest.end(), rest[1] is not None) if rest else (start, False)
    if stop == len(data):
        # Without the end of the source the last quote seen may be the first half of a doubled one.
        return _Beyond(stop, "ends" if closed and rules.at_end else "open")
    if data[stop] in rules.dialect.quote:
        return _Beyond(len(data), "open")  # another field opens a quote, and the data ends within it
    return _Beyond(stop, "ends" if data[stop] in b"\r\n" else "breaks")
