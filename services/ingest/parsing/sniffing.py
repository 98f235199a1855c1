"""Detecting a dialect: the delimiter and quote with which most of a file's first records become rows.

Few marks are tried, and each is judged by the result of reading with it: header and rows have to agree. So colons in
times and addresses, blanks in names and bytes within other characters are never taken for delimiters.
"""

import re
from collections import Counter
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from common.rows.codec import parse_fields
from common.rows.schema import Dialect
from services.ingest.parsing.encodings import find_encoding
from services.ingest.parsing.framing import Reject, RowBlock, frame
from services.ingest.parsing.header import Header, frame_header
from services.ingest.parsing.patterns import quoted_pattern

_DELIMITERS = (b",", b";", b"\t", b"|")
_QUOTES = (b'"', b"", b"'")
# A letter for each byte that is not ASCII's.
_LETTERS = bytes(range(0x80)) + b"x" * 0x80
_HIGH_PIPE = re.compile(rb"[\x80-\xff]\|")
# A sample that is one column otherwise takes a delimiter only if most rows agree on it.
_LEAST_AGREEMENT = 0.7
_LEAST_DIVIDED = 0.6
# A comma between digits may be a decimal comma.
_MARKS = {b",": rb"(?<![0-9]),|,(?![0-9])", b";": rb";", b"\t": rb"\t", b"|": rb"\|"}
_ANY = re.compile(b"|".join(_MARKS.values()))
_OTHERS = {mark: re.compile(b"|".join(text for it, text in _MARKS.items() if it != mark)) for mark in _MARKS}
_LOOKED_AT = 50
# Single quotes are apostrophes unless so many rows have a field within them.
_LEAST_QUOTED = 0.05


class Trial(Struct, frozen=True):
    """The result of reading a sample with a dialect.

    `columns` are the header's. `agreement` is the share of records that become rows; a row whose fields seem to be in
    other quotes counts half. `divided` is the share of records with more than one field, `odd` the share with a field
    in other quotes, `usual` how many fields most have. `clean` is the share of the first rows without another
    delimiter outside of quotes.
    """

    dialect: Dialect
    columns: int
    records: int
    agreement: float
    divided: float
    odd: float
    usual: int
    clean: float

    @property
    def rank(self) -> tuple[int, float]:
        """The better of two trials has the higher rank."""
        agrees = self.agreement >= min(_LEAST_AGREEMENT, 1 - 1.5 / max(self.records, 3))
        if self.columns > 1 and agrees:
            return 3, self.agreement * (1 - 1 / self.columns) * (1 + self.clean)
        if self.columns > 1 and self.usual > 1 and self.divided >= _LEAST_DIVIDED:
            # Header and rows do not agree: rejects then show more than a single column would.
            return 2, (self.divided - self.odd / 2) * (1 - 1 / self.usual) * (1 + self.clean)
        return (1, self.agreement) if self.columns == 1 else (0, self.agreement)


def find_dialect(
    sample: bytes, *, delimiter: bytes | None, quote: bytes | None, encoding: str, headed: bool, whole: bool
) -> Trial | None:
    """The dialect that a sample seems to be written with; a given mark is kept.

    `sample` begins with the header, or the first row, and is `whole` if the source ends with it. None while it has
    only a header. ValueError, one line, if rows cannot be told apart in this encoding.
    """
    text, unlikely = _as_ascii(sample, encoding)
    delimiters = _worth_trying(text, unlikely) if delimiter is None else [delimiter]
    quotes = _QUOTES if quote is None else (quote,)
    trials = [
        trial
        for mark in delimiters
        for around in quotes
        if mark != around and (around == quotes[0] or _may_be_quote(around, text))
        if (trial := _try(text, Dialect(mark, around), headed=headed, whole=whole)) is not None
    ]
    if not any(trial.records for trial in trials) or any(t.columns > 1 and not t.records for t in trials):
        return None
    # Of equals the first, which is the most usual mark.
    best = max(trials, key=lambda trial: trial.rank)
    if delimiter is None and find_encoding(encoding).holds(best.dialect.delimiter):
        mark = best.dialect.delimiter.decode()
        raise ValueError(
            f"it seems to be delimited by {mark!r}, which may be part of a character in ENCODING={encoding}: convert "
            "it to utf-8"
        )
    return replace(best, dialect=replace(best.dialect, encoding=encoding))


def _as_ascii(sample: bytes, encoding: str) -> tuple[bytes, frozenset[bytes]]:
    """The sample with one byte for each character that is not ASCII, and the marks that seem to be part of one."""
    if find_encoding(encoding).inner:
        return sample.decode(encoding, "replace").encode("ascii", "replace"), frozenset()
    pipes_within = 0
    if not sample.isascii() and not _is_text(sample, encoding):
        # If the encoding is another one, a pipe may be the second byte of a character.
        pipes_within = len(_HIGH_PIPE.findall(sample))
    unlikely = frozenset({b"|"}) if 2 * pipes_within > sample.count(b"|") else frozenset[bytes]()
    return sample.translate(_LETTERS), unlikely


def _is_text(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _worth_trying(text: bytes, unlikely: frozenset[bytes]) -> list[bytes]:
    """The delimiters that occur, and one that does not: with it the source has one column."""
    absent = [mark for mark in _DELIMITERS if mark not in text][:1]
    return [mark for mark in _DELIMITERS if mark in absent or (mark in text and mark not in unlikely)]


def _may_be_quote(mark: bytes, text: bytes) -> bool:
    """Whether the mark is worth trying; no quotes (empty) only if the usual quotes occur and may be none."""
    return (mark or _QUOTES[0]) in text


class _Records(Struct, frozen=True):
    """A sample read with a dialect: its rows, and the bytes of each record that is none.

    `is_cut`: a quote that is opened and not closed within the sample leaves its rest unread.
    """

    header: Header
    rows: list[bytes]
    rejects: list[bytes]
    is_cut: bool


def _try(text: bytes, dialect: Dialect, *, headed: bool, whole: bool) -> Trial | None:
    """Read the sample with this dialect; None if it has no complete header, or if its single quotes are apostrophes."""
    header = frame_header(text, dialect, at_end=whole)
    if header is None:
        return None
    records = _read(text, header, dialect, headed=headed, whole=whole)
    if dialect.quote == b"'" and _count_quoted(records.rows, dialect, b"'") < _LEAST_QUOTED * max(len(records.rows), 1):
        return None
    return _judge(records, dialect)


def _read(text: bytes, header: Header, dialect: Dialect, *, headed: bool, whole: bool) -> _Records:
    start = header.consumed if headed else 0
    framed = frame(
        text[start:],
        dialect=replace(dialect, eol=header.eol),
        columns=len(header.fields),
        line=1,
        offset=0,
        at_end=whole,
        max_row_bytes=len(text),
    )
    rows = [row for each in framed.frames if isinstance(each, RowBlock) for row in each.rows]
    rejects = [each.raw for each in framed.frames if isinstance(each, Reject) and each.raw]
    return _Records(header, rows, rejects, is_cut=text.find(b"\n", start + framed.consumed) >= 0)


def _judge(records: _Records, dialect: Dialect) -> Trial:
    columns, rows = len(records.header.fields), len(records.rows)
    count = rows + len(records.rejects) + records.is_cut
    # A header whose quotes are wrong counts as a record that is no row.
    judged = max(count + bool(records.header.trouble), 1)
    foreign = _count_in_other_quotes(records.rows, dialect)
    odd = foreign + _count_in_other_quotes(records.rejects, dialect)
    widths = Counter({columns: rows}) + Counter(_widths(records.rejects, dialect))
    several = sum(number for width, number in widths.items() if width > 1)
    return Trial(
        dialect,
        columns,
        count,
        agreement=(rows - min(foreign, rows) / 2) / judged,
        divided=several / judged,
        odd=min(odd, several) / judged,
        usual=widths.most_common(1)[0][0] if widths else columns,
        clean=_clean(records.rows[:_LOOKED_AT], dialect),
    )


def _widths(records: list[bytes], dialect: Dialect) -> Iterator[int]:
    for record in records:
        try:
            yield len(parse_fields(record, dialect))
        except ValueError:
            continue


def _count_in_other_quotes(records: list[bytes], dialect: Dialect) -> int:
    """How many records have a field within quotes that are not the dialect's; with both kinds they count twice."""
    return sum(_count_quoted(records, dialect, mark) for mark in (b'"', b"'") if mark != dialect.quote)


def _count_quoted(records: list[bytes], dialect: Dialect, mark: bytes) -> int:
    """How many records have a field within these marks."""
    search = quoted_pattern(dialect.delimiter, mark).search
    return sum(1 for record in records if mark in record and search(record))


def _clean(rows: list[bytes], dialect: Dialect) -> float:
    """The share of rows without another delimiter outside quotes; a comma within a number does not count."""
    if dialect.quote:
        within = re.compile(rb"%b[^%b]*+%b" % ((dialect.quote,) * 3))
        rows = [within.sub(b"", row) for row in rows]
    search = _OTHERS[dialect.delimiter].search if dialect.delimiter in _OTHERS else _ANY.search
    return sum(1 for row in rows if not search(row)) / max(len(rows), 1)
