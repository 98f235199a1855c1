"""Records → the rows of each key, in the records' order."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from msgspec import Struct

from common.batches.record_runs import Record, RecordRun, one_by_one
from common.protocol.category_keys import file_key, parse_row_key
from common.protocol.identity import Formats
from common.protocol.messages import HALF_CRLF, Control, Ended, SourceMark, decode_control, row_eol
from common.protocol.rejections import Note, Rejection, decode_rejection
from common.rows.codec import join_fields
from common.rows.schema import Dialect
from services.sink.ledger.entries import REJECTED_KEY
from services.sink.tallies.additions import Stretch

# How many rows' keys are kept with their files' keys, and how long those may be: this bounds the memory.
_MAX_KEPT_KEYS = 20_000
_MAX_KEPT_KEY_BYTES = 256

# Of rows that end without a line ending, or with the first half of one.
_OPEN_ENDINGS = (b"", HALF_CRLF)


class ValueRun(NamedTuple):
    """Values of records that share a line ending, None for their layout's, and where they come from, if that is known.

    For rejections it is not known: each names its own source.
    """

    eol: bytes | None
    rows: Sequence[bytes]
    stretch: Stretch | None = None


class CsvRun(NamedTuple):
    """CSV rows that share a line ending, and where they come from."""

    eol: bytes
    rows: Sequence[bytes]
    stretch: Stretch | None = None


Piles = dict[bytes, list[ValueRun]]


class Grouped(Struct, frozen=True):
    """The rows of each key, the ends of sources among the records, and what was rejected.

    `since_ms`: when the oldest of the rows was read, in ms since 1970; 0 if that is not known.
    """

    piles: Piles
    ends: list[Ended]
    rejected: Sequence[Rejection | Note] = ()
    since_ms: int = 0

    @property
    def has_end(self) -> bool:
        """Whether a source's end is among the records."""
        return bool(self.ends) or any(isinstance(each, Ended) for each in self.rejected)


Grouping = Callable[[Iterable[RecordRun | Record]], Grouped]


class FetchedBatch(Protocol):
    """A batch as it was fetched."""

    @property
    def start(self) -> int:
        """The offset of its first record that is new."""

    @property
    def is_cut(self) -> bool:
        """Whether it has records before `start`."""

    def runs(self) -> list[RecordRun | Record]:
        """Its records from `start` on."""

    def whole(self) -> list[RecordRun | Record]:
        """All of its records."""


def marked(batches: Iterable[FetchedBatch]) -> Iterator[RecordRun | Record]:
    """The new records of these batches; where a batch is cut, behind the mark that its new rows stand behind."""
    for batch in batches:
        if batch.is_cut:
            before = (part for part in batch.whole() if isinstance(part, Record) and part.offset < batch.start)
            marks = [part for part in before if isinstance(decode_control(part.headers, part.value), SourceMark)]
            yield from marks[-1:]
        yield from batch.runs()


def group_by_key(parts: Iterable[RecordRun | Record]) -> Grouped:
    """Group the rows of categories, a pile for the file of each. ValueError for what split did not write."""
    piles: Piles = {}
    stretches = _Stretches()
    stretch: Stretch | None = None
    for part in parts:
        if isinstance(part, RecordRun):
            eol = None if stretch is None else stretch.mark.eol
            _add(piles, _key_of_file(stretch, part.key), eol, part.rows, stretch)
            continue
        match stretches.decode(part):
            case SourceMark() as mark:
                stretch = stretches.behind(mark)
            case Ended() as ended:
                stretches.end(ended)
                # The rows behind it may have the mark before it.
                stretch = None if stretch is None else stretches.behind(stretch.mark)
            case _:
                _add(piles, _key_of_file(None, part.key), row_eol(part.headers), [part.value])
    return Grouped(piles, stretches.ends, since_ms=stretches.since_ms if piles else 0)


class _Stretches:
    """The marks and ends of one call. Most batches begin with the mark of the one before: they are one stretch."""

    def __init__(self) -> None:
        self._marks: dict[bytes, SourceMark] = {}
        self._stretches: dict[SourceMark, Stretch] = {}
        self._ends_before: Counter[str] = Counter()
        self.ends: list[Ended] = []

    def decode(self, record: Record) -> Control | None:
        """The control record, None for a row."""
        if (known := self._marks.get(record.value)) is not None:
            return known
        control = decode_control(record.headers, record.value)
        if isinstance(control, SourceMark):
            self._marks[record.value] = control
        return control

    def behind(self, mark: SourceMark) -> Stretch:
        """The stretch of rows behind a mark, here."""
        found, ends_before = self._stretches.get(mark), self._ends_before[mark.source]
        if found is None or found.ends_before != ends_before:
            found = self._stretches[mark] = Stretch(mark, ends_before)
        return found

    @property
    def since_ms(self) -> int:
        """When the oldest rows were read; 0 if no mark says it."""
        return min((mark.read_ms for mark in self._marks.values() if mark.read_ms), default=0)

    def end(self, ended: Ended) -> None:
        """Note an end."""
        self.ends.append(ended)
        self._ends_before[ended.source] += 1


def _add(piles: Piles, key: bytes, eol: bytes | None, rows: Sequence[bytes], stretch: Stretch | None = None) -> None:
    pile = piles.setdefault(key, [])
    if eol in _OPEN_ENDINGS:
        # Each row by itself: what it lacks comes before the next.
        pile += [ValueRun(eol, [row], stretch) for row in rows]
        return
    # Few rows are a list, which takes more of them; many stay where they lie.
    before = pile[-1] if pile and isinstance(rows, list) else None
    if before and isinstance(before.rows, list) and before.eol == eol and before.stretch is stretch:
        before.rows.extend(rows)
    else:
        pile.append(ValueRun(eol, rows, stretch))


def _key_of_file(stretch: Stretch | None, key: bytes | None) -> bytes:
    """The key of the file that rows with this key go into; in format 1, without a mark, it is theirs."""
    if key is None:
        raise ValueError("a row has no key")
    if stretch is None:
        return key
    if len(key) > _MAX_KEPT_KEY_BYTES:
        return file_key(stretch.mark.schema, *parse_row_key(key))
    return _file_key(stretch.mark.schema, key)


@lru_cache(_MAX_KEPT_KEYS)
def _file_key(schema: str, key: bytes) -> bytes:
    return file_key(schema, *parse_row_key(key))


def rejection_grouping(formats: Formats) -> Grouping:
    """How the rejections of a pipeline in these formats become CSV rows, as `rejected_layout` has them."""

    def group(parts: Iterable[RecordRun | Record]) -> Grouped:
        decoded = [decode_rejection(record.headers, record.value) for record in one_by_one(parts)]
        # Notes of replays stand between the rejections.
        rows = [join_fields(_fields(each, formats.begun), Dialect()) for each in decoded if isinstance(each, Rejection)]
        return Grouped({REJECTED_KEY: [ValueRun(None, rows)]} if rows else {}, [], decoded if formats.now > 1 else ())

    return group


def _fields(rejection: Rejection, version: int) -> tuple[bytes, ...]:
    code = () if version == 1 else (rejection.code.encode(),)
    return *rejection.place, *code, rejection.reason.encode(), rejection.raw
