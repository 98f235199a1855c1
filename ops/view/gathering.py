"""From figures, a look and what the ledgers have to a view. Pure."""

import heapq
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from common.protocol.position import digest
from common.protocol.shares import EVERY_SPLIT, Counted, CountKind
from ops.status.figures import Figures
from ops.status.observation import INGEST, SINK, SPLIT, Observation
from ops.view.ledgers import SafeRows
from ops.view.view import MOST_RECEIPTS, ShownReceipt, SplitBalance, View

_MS_PER_S = 1000


def view_of(figures: Figures, look: Observation, safe: SafeRows | None) -> View:
    """The view of a look, its figures, and what the ledgers have; None if they are not at hand."""
    receipts = [
        ShownReceipt(source, seen.rows, seen.rejected, seen.safe_ms, seen.p50_ms, seen.p99_ms)
        for source, seen in look.receipts.items()
        if seen is not None
    ]
    latest = heapq.nsmallest(MOST_RECEIPTS, receipts, key=lambda each: (-each.safe_ms, each.source))
    view = View(
        figures,
        figures.rows,
        None,
        oldest_unsafe_s(look),
        receipts=tuple(latest),
        receipt_count=len(receipts),
    )
    if safe is None:
        return view
    return replace(
        view,
        safe_rows=safe_rows(safe, figures.rejected[INGEST]),
        categories=safe.categories,
        category_count=safe.category_count,
        rejected=rejected_by_reason(safe.of_rejected),
        balance=tuple(balance(safe, figures.rows, look.splits)),
    )


def safe_rows(safe: SafeRows, rejected_by_ingest: int) -> int:
    """The rows that are safe, once for each split: those that ingest has rejected are no split's."""
    return safe.in_files + max(0, safe.rejected - rejected_by_ingest)


def oldest_unsafe_s(look: Observation) -> float | None:
    """The age in seconds of the oldest row that waits for a stage; 0.0 if none does, None if it is not known."""
    waiting = [each for stage in (SPLIT, SINK) for each in look.partitions.get(stage, ()) if each.rows]
    if not waiting:
        return 0.0
    oldest_ms = min((each.oldest_ms for each in waiting if each.oldest_ms is not None), default=None)
    return None if oldest_ms is None else max(0.0, (look.at_ms - oldest_ms) / _MS_PER_S)


def rejected_by_reason(tallies: Mapping[Counted, int]) -> dict[tuple[str, str], int]:
    """The rows that are rejected and were not sent again, by split and code, the most first."""
    found: dict[tuple[str, str], int] = {}
    for (split, kind, code), rows in tallies.items():
        if code and kind is not CountKind.SENT:
            found[split, code] = found.get((split, code), 0) + (-rows if kind is CountKind.TAKEN else rows)
    return {key: rows for key, rows in sorted(found.items(), key=lambda item: (-item[1], item[0])) if rows > 0}


def balance(safe: SafeRows, rows: int, splits: frozenset[str]) -> Iterator[SplitBalance]:
    """The balance of each split in use, `splits` being digests of their names; `rows` were read of all sources."""
    kinds = {key.kind for key in safe.of_rejected} | {key.kind for key in safe.of_files}
    if CountKind.OLDER in kinds:
        return
    rejected = rejected_by_reason(safe.of_rejected)
    names = {key.split for key in (*safe.of_files, *safe.of_rejected)} - {EVERY_SPLIT}
    for split in sorted(name for name in names if digest(name) in splits):
        in_files = sum(count for key, count in safe.of_files.items() if key.split == split)
        taken = sum(
            count for key, count in safe.of_rejected.items() if key.kind is CountKind.TAKEN and key.split == split
        )
        replayed = sum(
            count
            for key, count in safe.of_rejected.items()
            if key.kind is CountKind.SENT and key.split in {split, EVERY_SPLIT}
        )
        left = sum(count for (name, _), count in rejected.items() if name == split)
        missing = max(0, rows + replayed - in_files - left - taken)
        yield SplitBalance(split, rows, in_files, left, replayed, missing, taken)
