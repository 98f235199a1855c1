"""The shares of all partitions in one source → its receipt, once nothing of it is missing. Pure.

Split puts a source's end behind its rows into every partition, so the snapshots that all partitions took at one end
hold every row before it. They are delivered if for each split the rows in files and the rejected ones are as many as
were read, with the same checksum. What replays send comes behind the end and has a balance of its own.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce

from msgspec import Struct
from msgspec.structs import replace

from common.protocol.messages import Ended
from common.protocol.position import digest
from common.protocol.receipts import Delivered, Receipt, Rejections
from common.protocol.shares import EVERY_SPLIT, Counted, CountKind, FileNames, Share, Tallies, Times, total
from common.rows.tally import NOTHING, Tally
from services.sink.tallies.latencies import added, quantile

# How many files a receipt names for each split.
MOST_FILES = 100


class Makers(Struct, frozen=True):
    """What makes a pipeline's receipts: the partitions that hold its rows, with `rejected` among them, and the rest."""

    partitions: tuple[str, ...]
    rejected: str
    cluster: str
    folder: str
    nacre: str


class _AtEnd(Struct, frozen=True):
    """What the partitions have safe at one end: in files, rejected, and what came later from replays.

    Every partition has passed it with the splits of `ended.split_by`. A receipt waits for those of `waited_for`.
    """

    ended: Ended
    waited_for: Sequence[str]
    files: Tallies
    rejected: Tallies
    replays_in_files: Tallies
    replays: Tallies
    times: Sequence[Times]


def join(shares: Sequence[Share], makers: Makers, resting: Collection[str] = ()) -> Receipt | None:
    """The receipt of the latest end that is delivered, None if there is none. Each partition has one share at most.

    `resting` are the digests of the splits that SPLIT_BY no longer names: nothing more comes for them, so the receipt
    names those that are whole and leaves out the others.
    """
    if {share.partition for share in shares} != set(makers.partitions):
        return None
    for at_end in _ends(shares, makers.rejected, resting):
        if _is_older(at_end.ended):
            continue
        found = ((split, _delivered(split, at_end, shares)) for split in at_end.ended.split_by)
        delivered = {split: each for split, each in found if each is not None}
        by_ingest = _outstanding(EVERY_SPLIT, at_end)
        counted = total(at_end.rejected, EVERY_SPLIT, CountKind.READ).rows
        if by_ingest is None or counted != at_end.ended.rejected or not delivered.keys() >= set(at_end.waited_for):
            continue
        return _receipt(at_end, by_ingest, delivered, makers)
    return None


def find_lack(shares: Sequence[Share], makers: Makers, number: int, resting: Collection[str] = ()) -> str:
    """What the receipt of the end with this number lacks, in one line; "" if that end, or a later one, is delivered."""
    receipt = join(shares, makers, resting)
    if receipt is not None and receipt.number >= number:
        return ""
    passed = {share.partition for share in shares for each in share.snapshots if each.ended.number == number}
    for partition in makers.partitions:
        if partition not in passed:
            return f"{partition} has not passed its end {number}"
    for at_end in _ends(shares, makers.rejected, resting):
        if at_end.ended.number != number:
            continue
        if _is_older(at_end.ended):
            return "it was begun in format 1, which has no receipts"
        for split in at_end.waited_for:
            safe = total(at_end.files, split, CountKind.READ) + total(at_end.rejected, split, CountKind.READ)
            if safe != at_end.ended.tally:
                return f"split {split} has {safe.rows} rows safe of {at_end.ended.tally.rows}, or others than were read"
    return f"what is safe at its end {number} is not what was read and replayed"


def _is_older(ended: Ended) -> bool:
    """Whether it, or its source's beginning, was written in format 1, where ends had no numbers."""
    return ended.is_older or ended.number < 1


def _receipt(at_end: _AtEnd, by_ingest: Rejections, splits: Mapping[str, Delivered], makers: Makers) -> Receipt:
    ended = at_end.ended
    latencies: Mapping[int, int] = reduce(added, (each.latencies for each in at_end.times))
    return Receipt(
        ended.source,
        ended.number,
        ended.size,
        ended.tally,
        ended.row_format,
        by_ingest,
        splits,
        max(each.safe_ms for each in at_end.times),
        quantile(latencies, 0.5),
        quantile(latencies, 0.99),
        makers.cluster,
        makers.folder,
        makers.nacre,
    )


def _ends(shares: Sequence[Share], rejected: str, resting: Collection[str]) -> Iterator[_AtEnd]:
    """Each end at which every partition has a snapshot of every split that does not rest, the latest first."""
    replays = _sum(share.tallies for share in shares)
    in_files = _sum(share.tallies for share in shares if share.partition != rejected)
    for number in sorted({each.ended.number for share in shares for each in share.snapshots}, reverse=True):
        found = {
            share.partition: snapshot
            for share in shares
            for snapshot in share.snapshots
            if snapshot.ended.number == number
        }
        # A split that was added later has passed the end later, and not in all partitions at once.
        named = dict.fromkeys(split for each in found.values() for split in each.ended.split_by)
        waited_for = [split for split in named if digest(split) not in resting]
        if not waited_for:
            continue
        passed = set.intersection(*(set(each.ended.splits) for each in found.values()))
        if len(found) == len(shares) and passed.issuperset(waited_for):
            files = _sum(each.tallies for name, each in found.items() if name != rejected)
            ended = replace(found[rejected].ended, split_by=tuple(split for split in named if split in passed))
            times = [each.times for each in found.values()]
            yield _AtEnd(ended, waited_for, files, found[rejected].tallies, in_files, replays, times)


def _delivered(split: str, at_end: _AtEnd, shares: Iterable[Share]) -> Delivered | None:
    """What is safe of one split; None if anything is missing, or more is there than was read and sent."""
    in_files, was_rejected = total(at_end.files, split, CountKind.READ), total(at_end.rejected, split, CountKind.READ)
    sent = total(at_end.replays, split, CountKind.SENT) + total(at_end.replays, EVERY_SPLIT, CountKind.SENT)
    rejected = _outstanding(split, at_end)
    is_whole = in_files + was_rejected == at_end.ended.tally and total(at_end.replays, split, CountKind.REPLAY) == sent
    if not is_whole or rejected is None:
        return None
    replayed = total(at_end.replays_in_files, split, CountKind.REPLAY)
    again = total(at_end.replays, split, CountKind.REPLAY) - replayed
    left = was_rejected + again - total(at_end.replays, split, CountKind.TAKEN)
    names = _names(share.files[split] for share in shares if split in share.files)
    return Delivered(in_files + replayed, rejected, left, sent.rows, names.paths, names.more)


def _outstanding(split: str, at_end: _AtEnd) -> Rejections | None:
    """The rejections that no replay has sent again; None if one was sent again that came behind this end."""
    counts: dict[str, int] = {}
    taken = 0
    for key, tally in (*at_end.rejected.items(), *at_end.replays.items()):
        if key.split != split or not key.code:
            continue
        if key.kind is CountKind.TAKEN:
            taken += tally.rows
        counts[key.code] = counts.get(key.code, 0) + (-tally.rows if key.kind is CountKind.TAKEN else tally.rows)
    if any(count < 0 for count in counts.values()):
        return None
    return Rejections({code: count for code, count in sorted(counts.items()) if count}, taken)


def _names(many: Iterable[FileNames]) -> FileNames:
    found = list(many)
    paths = sorted({path for each in found for path in each.paths})
    return FileNames(tuple(paths[:MOST_FILES]), any(each.more for each in found) or len(paths) > MOST_FILES)


def _sum(many: Iterable[Tallies]) -> dict[Counted, Tally]:
    sums: dict[Counted, Tally] = {}
    for tallies in many:
        for key, tally in tallies.items():
            sums[key] = sums.get(key, NOTHING) + tally
    return sums
