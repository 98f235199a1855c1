"""Detecting a dialect: the delimiter and quote with which most of a file's first records become rows.

Few marks are tried, and each is judged by the result of reading with it: header and rows have to agree. So colons in
times and addresses, blanks in names and bytes within other characters are never taken for delimiters.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from common.rows.codec import parse_fields
from common.rows.schema import Dialect
from services.ingest.parsing.encodings import find_encoding
from services.ingest.parsing.framing import Reject, frame
from services.ingest.parsing.header import frame_header
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


@dataclass(frozen=True, slots=True)
class Trial:
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


def _try(text: bytes, dialect: Dialect, *, headed: bool, whole: bool) -> Trial | None:
    first = frame_header(text, dialect, at_end=whole)
    if first is None:
        return None
    columns = len(first.fields)
    behind = first.consumed if headed else 0
    framed = frame(
        text[behind:],
        dialect=replace(dialect, eol=first.eol),
        columns=columns,
        line=1,
        offset=0,
        at_end=whole,
        max_row_bytes=len(text),
    )
    blocks = [part.rows for part in framed.frames if not isinstance(part, Reject)]
    rejects = [part for part in framed.frames if isinstance(part, Reject) and part.raw]
    rows = sum(map(len, blocks))
    # A quote that is opened and not closed within the sample leaves its rest unread.
    unread = text.find(b"\n", behind + framed.consumed) >= 0
    records = rows + len(rejects) + unread
    if dialect.quote == b"'" and sum(_count_quoted(rows, dialect, b"'") for rows in blocks) < _LEAST_QUOTED * max(
        rows, 1
    ):
        return None
    others = [mark for mark in (b'"', b"'") if mark != dialect.quote]
    foreign = sum(_count_quoted(rows, dialect, mark) for rows in blocks for mark in others)
    widths = Counter({columns: rows}) + Counter(_widths(rejects, dialect))
    [(usual, _)] = widths.most_common(1) or [(columns, 0)]
    judged = records + bool(first.trouble)
    agreement = (rows - min(foreign, rows) / 2) / judged if judged else 0
    odd = foreign + sum(_count_quoted([part.raw for part in rejects], dialect, mark) for mark in others)
    several = sum(count for width, count in widths.items() if width > 1)
    divided, among_others = several / max(judged, 1), min(odd, several) / max(judged, 1)
    return Trial(dialect, columns, records, agreement, divided, among_others, usual, _clean(blocks, dialect))


def _widths(rejects: list[Reject], dialect: Dialect) -> Iterator[int]:
    for reject in rejects:
        try:
            yield len(parse_fields(reject.raw, dialect))
        except ValueError:
            continue


def _count_quoted(rows: list[bytes], dialect: Dialect, mark: bytes) -> int:
    """How many rows have a field within these marks."""
    search = quoted_pattern(dialect.delimiter, mark).search
    return sum(1 for row in rows if mark in row and search(row))


def _clean(blocks: list[list[bytes]], dialect: Dialect) -> float:
    """The share of the first rows without another delimiter; a comma within a number does not count."""
    rows = [row for rows in blocks for row in rows[:_LOOKED_AT]][:_LOOKED_AT]
    if dialect.quote:
        within = re.compile(rb"%b[^%b]*+%b" % ((dialect.quote,) * 3))
        rows = [within.sub(b"", row) for row in rows]
    search = _OTHERS[dialect.delimiter].search if dialect.delimiter in _OTHERS else _ANY.search
    return sum(1 for row in rows if not search(row)) / max(len(rows), 1)
