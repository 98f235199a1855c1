"""Whether the lines of a file are the rows of some streams, each in its order, however they were mixed. Pure.

A stream is the rows of one source that belong into the file. Each line takes the next row of every stream whose next
row it equals. A line that no stream has next is one too many, and where several have it, the others are rows too few.
So the file is right if every stream is taken to its end, and what is too many equals what is too few as multisets (by
sums of digests): each source's rows are there in its order, and nothing else. Memory holds one row of each stream.

Where two sources have equal rows, nothing says which source a line is from. So an exchange that only this would show
goes unnoticed: two sources a, b and a, b that are in a file as a, b, b, a. Without equal rows the comparison is exact.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from google_crc32c import value as crc32c
from msgspec import Struct, field

from common.protocol.messages import HALF_CRLF
from common.rows.tally import Tally
from ops.verify.rows.long_lines import WholeText

_MODULUS = 2**128


class ExpectedRow(NamedTuple):
    """A row that has to be in a file: its digest, its line ending, and where it is in its source.

    A row without a line ending gets the usual one if another row follows, and one with HALF_CRLF the other half.
    """

    digest: bytes
    eol: bytes
    line: int
    offset: int


class FoundLine(NamedTuple):
    """A line of a file: its digest and text, its line ending, the path of the file and its number there.

    `whole` is there if the text was shortened.
    """

    digest: bytes
    text: bytes
    eol: bytes
    path: str
    number: int
    whole: WholeText | None = None


class Odd(NamedTuple):
    """The first line that is no stream's next row; by stream, what was next there, and which stream was taken last."""

    line: FoundLine
    next: Mapping[int, ExpectedRow]
    last: int | None


class Merged(Struct):
    """How lines and streams fit.

    `left` is, by stream, the first row that no line has taken. `surplus` counts how often a line was taken once more.
    `ending` is the first line whose ending is not its row's, and the row.
    """

    lines: int = 0
    surplus: int = 0
    odd: Odd | None = None
    ending: tuple[FoundLine, ExpectedRow | None] | None = None
    left: dict[int, ExpectedRow] = field(default_factory=dict)
    # Plain numbers, for speed: rows, bytes, sums of CRC-32C and of digests.
    _rows: int = 0
    _size: int = 0
    _checksum: int = 0
    _digests: int = 0

    @property
    def extra(self) -> Tally:
        """The lines that are too many, less those that are too few."""
        return Tally(self._rows, self._size, self._checksum % 2**64)

    @property
    def has_extra(self) -> bool:
        """Whether there is a line too many, or one too few."""
        return self._rows != 0 or self._digests % _MODULUS != 0

    def add(self, line: FoundLine, times: int) -> None:
        """Count a line as too many, or with a negative number as too few."""
        self._rows += times
        whole = line.whole
        self._size += times * (len(line.text) if whole is None else whole.size)
        self._checksum += times * (crc32c(line.text) if whole is None else whole.checksum)
        self._digests += times * int.from_bytes(line.digest, "big")

    def check_ending(
        self, line: FoundLine, row: ExpectedRow, endings: set[bytes], usual: bytes
    ) -> tuple[FoundLine, ExpectedRow] | None:
        """Check the ending of a line with that of its rows; return it if it is right only at the end of the file."""
        if line.eol == b"\r" and endings == {HALF_CRLF}:
            return line, row
        if self.ending is None and not any(_ends_as(eol, line.eol, usual) for eol in endings):
            self.ending = line, row
        return None


def merge(lines: Iterable[FoundLine], streams: Mapping[int, Iterator[ExpectedRow]], usual: bytes) -> Merged:
    """Compare lines with streams; `usual` is the line ending of a row that has none."""
    merged = Merged()
    merged.left = {stream: row for stream, rows in streams.items() if (row := next(rows, None)) is not None}
    heads: dict[bytes, list[int]] = {}
    for stream, row in merged.left.items():
        heads.setdefault(row.digest, []).append(stream)
    last: int | None = None
    half: tuple[FoundLine, ExpectedRow] | None = None
    for line in lines:
        merged.lines += 1
        if half is not None and merged.ending is None:
            merged.ending = half
        half = None
        taken = heads.pop(line.digest, None)
        if taken is None:
            merged.add(line, 1)
            merged.odd = merged.odd or Odd(line, dict(merged.left), last)
            continue
        if len(taken) > 1:
            merged.add(line, 1 - len(taken))
            merged.surplus += len(taken) - 1
        last, row = taken[0], merged.left[taken[0]]
        if row.eol != line.eol:
            half = merged.check_ending(line, row, {merged.left[stream].eol for stream in taken}, usual)
        for stream in taken:
            if (following := next(streams[stream], None)) is None:
                del merged.left[stream]
            else:
                merged.left[stream] = following
                heads.setdefault(following.digest, []).append(stream)
    return merged


def merge_unordered(
    lines: Iterable[FoundLine], streams: Callable[[], Mapping[int, Iterator[ExpectedRow]]], usual: bytes
) -> Merged:
    """As `merge`, where rows have no order. Memory holds the digests of all rows."""
    merged = Merged()
    # Of rows that have an unusual one.
    endings: dict[bytes, set[bytes]] = {}
    expected = Counter[bytes]()
    for rows in streams().values():
        for row in rows:
            expected[row.digest] += 1
            if row.eol != usual:
                endings.setdefault(row.digest, {usual}).add(row.eol)
    for line in lines:
        merged.lines += 1
        if not expected[line.digest]:
            merged.add(line, 1)
            merged.odd = merged.odd or Odd(line, {}, None)
            continue
        expected[line.digest] -= 1
        allowed = endings.get(line.digest, (usual,))
        if merged.ending is None and not any(_ends_as(eol, line.eol, usual) for eol in allowed):
            merged.ending = line, None
    left = +expected
    for stream, rows in streams().items() if left else ():
        for row in rows:
            if left[row.digest]:
                left[row.digest] -= 1
                known = merged.left.setdefault(stream, row)
                merged.left[stream] = min(known, row, key=lambda each: each.offset)
    return merged


def _ends_as(expected: bytes, found: bytes, usual: bytes) -> bool:
    """Whether a line may end so. A file's last line alone has no ending."""
    if not expected:
        return found in (b"", usual)
    if expected == HALF_CRLF:
        return found in (b"\r", b"\r\n")
    return found == expected
