"""Records → the rows of each key, in the records' order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.batches.record_runs import Record, RecordRun, one_by_one
from common.protocol.messages import Ended, Rejection, decode_control, decode_rejection, row_eol
from common.rows.codec import join_fields
from common.rows.schema import Dialect
from services.sink.ledger.entries import REJECTED_KEY

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


def group_by_key(parts: Iterable[RecordRun | Record]) -> Grouped:
    """Group the rows of categories, a pile for each key."""
    piles: Piles = {}
    ends: list[Ended] = []
    for part in parts:
        if isinstance(part, RecordRun):
            _add(piles, part.key, part.rows)
        elif isinstance(control := decode_control(part.headers, part.value), Ended):
            ends.append(control)
        else:
            piles.setdefault(part.key, []).append((row_eol(part.headers), [part.value]))
    return Grouped(piles, ends)


def _add(piles: Piles, key: bytes, rows: list[bytes]) -> None:
    """Add rows with their layout's line ending."""
    pile = piles.setdefault(key, [])
    if pile and pile[-1][0] is None:
        pile[-1][1].extend(rows)
    else:
        pile.append((None, rows))


def group_rejections(parts: Iterable[RecordRun | Record]) -> Grouped:
    """Group rejections as CSV rows of the file of rejected rows, all in one pile, without ends."""
    decoded = [decode_rejection(record.headers, record.value) for record in one_by_one(parts)]
    # Notes of replays stand between the rejections.
    rows = [join_fields(each.fields, Dialect()) for each in decoded if isinstance(each, Rejection)]
    return Grouped({REJECTED_KEY: [(None, rows)]} if rows else {}, [])
