"""What went in and what came out, by split, summed over all sources. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from common.protocol.shares import EVERY_SPLIT, Counted, CountKind, total
from ops.verify.balance import Balance, Known

# Ledger, what is counted there, and how many rows that are.
Sum = tuple[int, Counted, int]


class SplitSums(Struct, frozen=True):
    """One split: read + replayed = in files + rejected + rejected and replayed + missing.

    `read` is what is known to have been read. `missing` are rows that are on their way. `older` of those in files were
    written in format 1: they are in `read` as well, since nothing else is known of them.
    """

    split: str
    read: int
    replayed: int
    in_files: int
    rejected: int
    rejected_and_replayed: int
    missing: int
    older: int = 0

    @property
    def closes(self) -> bool:
        """Whether what went in has come out."""
        came_out = self.in_files + self.rejected + self.rejected_and_replayed
        return not self.missing and self.read + self.replayed == came_out


class RejectedSum(Struct, frozen=True):
    """Rows that are rejected for a split, or EVERY_SPLIT: those that stand, and those that were sent again since."""

    split: str
    code: str
    rows: int
    sent_again: int


def missing_of(known: Known, found: Balance) -> Mapping[str, int]:
    """By split of a source's latest end, how many of the rows that were read up to there are not safe yet."""
    if found.ended is None or found.ended.is_older:
        return {}
    wanted = [each.ended for each in known.passed if each.ended.number == found.ended.number]
    missing = {}
    for split in dict.fromkeys(split for ended in wanted for split in ended.split_by):
        safe = sum(total(tallies, split, CountKind.READ).rows for tallies in known.tallies.values())
        missing[split] = max(0, found.ended.tally.rows - safe)
    return missing


def sum_splits(sums: Sequence[Sum], rejected: int | None, missing: Mapping[str, int]) -> list[SplitSums]:
    """The splits by name; `rejected` is the ledger of rejected rows.

    `missing` has the rows that are on their way, for each split that sources' latest ends speak of: for others nothing
    comes any more.
    """
    counts: Counter[tuple[str, bool, CountKind]] = Counter()
    for ledger, counted, rows in sums:
        counts[counted.split, ledger == rejected, counted.kind] += rows
    splits = sorted({split for split, _, _ in counts} - {EVERY_SPLIT} | set(missing))
    return [_of_split(split, counts, missing.get(split)) for split in splits]


def _of_split(split: str, counts: Counter[tuple[str, bool, CountKind]], missing: int | None) -> SplitSums:
    def in_files(*kinds: CountKind) -> int:
        return sum(counts[split, False, kind] for kind in kinds)

    def refused(*kinds: CountKind, of: str = split) -> int:
        return sum(counts[of, True, kind] for kind in kinds)

    older, again = in_files(CountKind.OLDER), refused(CountKind.TAKEN)
    replayed = in_files(CountKind.REPLAY) + refused(CountKind.REPLAY)
    sent = refused(CountKind.SENT) + refused(CountKind.SENT, of=EVERY_SPLIT)
    under_way = 0 if missing is None else missing + max(0, sent - replayed)
    return SplitSums(
        split,
        in_files(CountKind.READ) + refused(CountKind.READ) + older + (missing or 0),
        replayed if missing is None else sent,
        in_files(CountKind.READ, CountKind.REPLAY, CountKind.OLDER),
        refused(CountKind.READ, CountKind.REPLAY) - again,
        again,
        under_way,
        older,
    )


def sum_rejected(sums: Iterable[Sum], rejected: int | None) -> list[RejectedSum]:
    """Rejected rows by split and code, those of every split first."""
    standing: Counter[tuple[str, str]] = Counter()
    again: Counter[tuple[str, str]] = Counter()
    for ledger, (split, kind, code), rows in sums:
        if ledger != rejected or kind is CountKind.SENT:
            continue
        key = split, code
        standing[key] += -rows if kind is CountKind.TAKEN else rows
        again[key] += rows if kind is CountKind.TAKEN else 0
    return [
        RejectedSum(split, code, standing[split, code], again[split, code])
        for split, code in sorted(standing)
        if standing[split, code] or again[split, code]
    ]


def sum_latencies(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Rows by bucket of latency."""
    sums: Counter[int] = Counter()
    for each in counts:
        sums.update(each)
    return dict(sorted(sums.items()))
