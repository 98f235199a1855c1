"""Records → rows per key, in the records' order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.batches.record_runs import Record, RecordRun, one_by_one
from common.protocol.messages import Ended, Rejection, decode_control, decode_rejection, row_eol
from common.rows.codec import join_fields
from common.rows.schema import Dialect
from services.sink.ledger.entries import REJECTED_KEY

# Rows as records carry them, with one line ending; None stands for the file's usual one.
ValueRun = tuple[bytes | None, list[bytes]]
# CSV rows with their line ending.
CsvRun = tuple[bytes, list[bytes]]
Piles = dict[bytes, list[ValueRun]]


@dataclass(frozen=True, slots=True)
class Grouped:
    """The rows of each key, and the ends of sources that came with them."""

    piles: Piles
    ends: list[Ended]


Grouping = Callable[[Iterable[RecordRun | Record]], Grouped]


def group_by_key(parts: Iterable[RecordRun | Record]) -> Grouped:
    """The rows of categories, each pile for the file of its key."""
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
    """Add rows with their file's usual line ending."""
    pile = piles.setdefault(key, [])
    if pile and pile[-1][0] is None:
        pile[-1][1].extend(rows)
    else:
        pile.append((None, rows))


def group_rejections(parts: Iterable[RecordRun | Record]) -> Grouped:
    """The lines of the file of rejected rows, which is one pile and knows no ends."""
    decoded = [decode_rejection(record.headers, record.value) for record in one_by_one(parts)]
    # Notes of what was replayed stand between them.
    rows = [join_fields(each.fields, Dialect()) for each in decoded if isinstance(each, Rejection)]
    return Grouped({REJECTED_KEY: [(None, rows)]} if rows else {}, [])
