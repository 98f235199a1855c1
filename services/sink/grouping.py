"""Records → the rows of each key, in the records' order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from common.batches.record_runs import Record, RecordRun, one_by_one
from common.protocol.category_keys import file_key, parse_row_key
from common.protocol.messages import HALF_CRLF, Ended, Rejection, SourceMark, decode_control, decode_rejection, row_eol
from common.rows.codec import join_fields
from common.rows.schema import Dialect
from services.sink.ledger.entries import REJECTED_KEY

# The keys of files that were made of rows' keys, and how long those may be: so much memory they take.
_MAX_KEPT_KEYS = 20_000
_MAX_KEPT_KEY_BYTES = 256

# Of rows that end without a line ending, or with the first half of one.
_OPEN_ENDINGS = (b"", HALF_CRLF)

# Values of records that share a line ending; None stands for their layout's.
ValueRun = tuple[bytes | None, list[bytes]]
# CSV rows that share a line ending.
CsvRun = tuple[bytes, list[bytes]]
Piles = dict[bytes, list[ValueRun]]


@dataclass(frozen=True, slots=True)
class Grouped:
    """The rows of each key, and the ends of sources among the records."""

    piles: Piles
    ends: list[Ended]


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
    ends: list[Ended] = []
    mark: SourceMark | None = None
    for part in parts:
        if isinstance(part, RecordRun):
            _add(piles, _key_of_file(mark, part.key), None if mark is None else mark.eol, part.rows)
            continue
        match decode_control(part.headers, part.value):
            case SourceMark() as control:
                mark = control
            case Ended() as control:
                ends.append(control)
            case _:
                _add(piles, _key_of_file(None, part.key), row_eol(part.headers), [part.value])
    return Grouped(piles, ends)


def _add(piles: Piles, key: bytes, eol: bytes | None, rows: list[bytes]) -> None:
    pile = piles.setdefault(key, [])
    if eol in _OPEN_ENDINGS:
        # Each row by itself: what it lacks comes before the next.
        pile += [(eol, [row]) for row in rows]
    elif pile and pile[-1][0] == eol:
        pile[-1][1].extend(rows)
    else:
        pile.append((eol, rows))


def _key_of_file(mark: SourceMark | None, key: bytes | None) -> bytes:
    """The key of the file that rows with this key go into; in format 1, without a mark, it is theirs."""
    if key is None:
        raise ValueError("a row has no key")
    if mark is None:
        return key
    if len(key) > _MAX_KEPT_KEY_BYTES:
        return file_key(mark.schema, *parse_row_key(key))
    return _file_key(mark.schema, key)


@lru_cache(_MAX_KEPT_KEYS)
def _file_key(schema: str, key: bytes) -> bytes:
    return file_key(schema, *parse_row_key(key))


def rejection_grouping(version: int) -> Grouping:
    """How the rejections of a pipeline in this format become CSV rows, as `rejected_layout` has them."""

    def group(parts: Iterable[RecordRun | Record]) -> Grouped:
        decoded = [decode_rejection(record.headers, record.value) for record in one_by_one(parts)]
        # Notes of replays stand between the rejections.
        rows = [join_fields(_fields(each, version), Dialect()) for each in decoded if isinstance(each, Rejection)]
        return Grouped({REJECTED_KEY: [(None, rows)]} if rows else {}, [])

    return group


def _fields(rejection: Rejection, version: int) -> tuple[bytes, ...]:
    code = () if version == 1 else (rejection.code.encode(),)
    return *rejection.place, *code, rejection.reason.encode(), rejection.raw
