"""What went in and what came out, by split, summed over all sources. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from common.protocol.shares import EVERY_SPLIT, Counted, CountKind, total
from ops.verify.balance import Balance, Known
from ops.view.gathering import rejected_by_reason
from ops.view.ledgers import SafeRows

# Ledger, what is counted there, and how many rows that are.
Sum = tuple[int, Counted, int]


class RejectedSum(Struct, frozen=True):
    """Rows that are rejected for a split, or EVERY_SPLIT: those that stand, and those that were sent again since."""

    split: str
    code: str
    rows: int
    sent_again: int


def split_up(sums: Iterable[Sum], rejected: int | None) -> SafeRows:
    """The counts in files, and those in the ledger of rejected rows."""
    of_files: Counter[Counted] = Counter()
    of_rejected: Counter[Counted] = Counter()
    for ledger, counted, rows in sums:
        (of_rejected if ledger == rejected else of_files)[counted] += rows
    return SafeRows(of_files=of_files, of_rejected=of_rejected)


def read_of(known: Known, found: Balance) -> Mapping[str, int]:
    """How many rows are known to have been read from a source, for each split in use.

    Those are the splits that its latest end names; before its first end the rows that are safe are all that is known,
    and for a split that was removed before it was filled, they are all that comes.
    """
    if found.ended is None:
        splits = {key.split for tallies in known.tallies.values() for key in tallies} - {EVERY_SPLIT}
        return {split: _safe(known, split) for split in splits}
    at_end = [each.ended for each in known.passed if each.ended.number == found.ended.number]
    splits = {split for ended in at_end for split in ended.split_by}
    rows = {split: max(found.ended.tally.rows, _safe(known, split)) for split in splits - set(found.left_out)}
    return rows | {split: safe for split in found.left_out if (safe := _safe(known, split))}


def sum_read(sources: Iterable[Mapping[str, int]], forgotten: Known) -> dict[str, int]:
    """The rows read of all sources by split, those of sources that are `forgotten` as well.

    Once all are forgotten, nothing says which splits are in use: all that have rows are.
    """
    read: Counter[str] = Counter()
    for each in sources:
        read.update(each)
    if not read:
        read.update({key.split: 0 for tallies in forgotten.tallies.values() for key in tallies if key.split})
    return {split: rows + _safe(forgotten, split) for split, rows in read.items()}


def sum_rejected(of_rejected: Mapping[Counted, int]) -> list[RejectedSum]:
    """Rejected rows by split and code, those of every split first."""
    standing = rejected_by_reason(of_rejected)
    again = {(split, code): rows for (split, kind, code), rows in of_rejected.items() if kind is CountKind.TAKEN}
    keys = sorted({*standing, *(key for key, rows in again.items() if rows)})
    return [RejectedSum(*key, standing.get(key, 0), again.get(key, 0)) for key in keys]


def sum_latencies(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Rows by bucket of latency."""
    sums: Counter[int] = Counter()
    for each in counts:
        sums.update(each)
    return dict(sorted(sums.items()))


def _safe(known: Known, split: str) -> int:
    """How many rows that were read are safe, in files or rejected."""
    return sum(total(tallies, split, CountKind.READ).rows for tallies in known.tallies.values())
