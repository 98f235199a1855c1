"""Where fields, records and lines end, with regard to quotes.

Every repetition in the patterns is possessive or atomic: no byte is looked at twice, whatever does not match.
"""

import re
from functools import lru_cache

from common.rows.reasons import Code, Reason

ENDING = re.compile(rb"\r\n|[\r\n]")
BLANK_LINE = Reason(Code.BLANK_LINE, "blank line")
NOT_CLOSED = "a quote is opened and not closed"
TEXT_FOLLOWS = "text follows a closing quote"


def fields_end(data: bytes, start: int, end: int, delimiter: bytes, quote: bytes) -> int:
    """Where the whole fields from `start` end.

    If that is before `end`, it is at a line ending, at text that follows a closing quote, or at a quote that opens a
    field and is not closed before `end`.
    """
    fields = _fields_pattern(delimiter, quote).match(data, start, end)
    return fields.end() if fields else start


def explain_text(data: bytes, stop: int, quote: bytes) -> str:
    """A reason that text follows the closing quote before `stop`, and what that may be."""
    if data[max(0, stop - 2) : stop] == b"\\" + quote:
        return f"{TEXT_FOLLOWS} (a backslash escape?)"
    return f"{TEXT_FOLLOWS} (a blank after it?)" if data[stop : stop + 1] in (b" ", b"\t") else TEXT_FOLLOWS


def literal_fields(line: bytes, delimiter: bytes, quote: bytes) -> list[bytes]:
    """The fields of a line whose quotes are wrong: a field with such quotes ends at the next delimiter."""
    if not quote:
        return line.split(delimiter)
    match = _literal_pattern(delimiter, quote).match
    fields: list[bytes] = []
    start = 0
    while (field := match(line, start)) is not None:
        fields.append(field[2] if field[1] is None else field[1].replace(quote * 2, quote))
        if field.end() == len(line):
            break
        start = field.end() + 1
    return fields


def line_end(data: bytes, start: int) -> tuple[int, int]:
    """Where the line ending after `start` begins and ends; the end of the data twice if there is none."""
    ending = ENDING.search(data, start)
    return ending.span() if ending else (len(data), len(data))


def count_breaks(data: bytes, start: int, end: int) -> int:
    """How many lines end between `start` and `end`."""
    pairs = data.count(b"\r\n", start, end)
    return data.count(b"\n", start, end) + data.count(b"\r", start, end) - pairs


def _quoted_rest(quote: bytes) -> bytes:
    """A pattern from within quotes up to a quote that is not doubled."""
    other = rb"[^%b]*+" % re.escape(quote)
    return rb"%b(?>(?:%b%b)*)" % (other, re.escape(quote * 2), other)


def _field(delimiter: bytes, quote: bytes) -> bytes:
    """A pattern of a field; at a quote that is not closed it matches nothing, and whatever follows fails."""
    quote_mark, apart = re.escape(quote), re.escape(delimiter) + rb"\r\n"
    if not quote:
        return rb"(?:[^%b]*+)" % apart
    quoted = quote_mark + _quoted_rest(quote) + quote_mark
    return rb"(?:[^%b%b][^%b]*+|%b|)" % (quote_mark, apart, apart, quoted)


@lru_cache
def _fields_pattern(delimiter: bytes, quote: bytes) -> re.Pattern[bytes]:
    """Match as many whole fields as there are."""
    field = _field(delimiter, quote)
    return re.compile(rb"%b(?>(?:%b%b)*)" % (field, re.escape(delimiter), field))


@lru_cache
def row_pattern(delimiter: bytes, quote: bytes, columns: int) -> re.Pattern[bytes]:
    """Match a record of so many fields (1) and its line ending (2)."""
    field = _field(delimiter, quote)
    more = rb"(?>(?:%b%b){%d})" % (re.escape(delimiter), field, columns - 1) if columns > 1 else b""
    return re.compile(rb"(%b%b)(\r\n|[\r\n])" % (field, more))


@lru_cache
def rest_pattern(delimiter: bytes, quote: bytes) -> re.Pattern[bytes]:
    """Match from within quotes up to the closing quote (1) and the whole fields behind it."""
    more = rb"(?>(?:%b%b)*)" % (re.escape(delimiter), _field(delimiter, quote))
    return re.compile(rb"%b(?>(?:(%b)%b)?)" % (_quoted_rest(quote), re.escape(quote), more))


@lru_cache
def _literal_pattern(delimiter: bytes, quote: bytes) -> re.Pattern[bytes]:
    """Match a field up to a delimiter or the end: what is within its quotes (1), or all of it (2)."""
    apart, mark = re.escape(delimiter), re.escape(quote)
    return re.compile(rb"%b(%b)%b(?=%b|\Z)|([^%b]*+)" % (mark, _quoted_rest(quote), mark, apart, apart))


@lru_cache
def quoted_pattern(delimiter: bytes, quote: bytes) -> re.Pattern[bytes]:
    """Find a field within these quotes in a record."""
    apart, mark = re.escape(delimiter), re.escape(quote)
    return re.compile(rb"(?:\A|%b)%b%b%b(?=%b|\Z)" % (apart, mark, _quoted_rest(quote), mark, apart))
