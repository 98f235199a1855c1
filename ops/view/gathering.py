"""From figures, a look and what the ledgers have to a view. Pure."""

import heapq
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from common.protocol.position import digest
from common.protocol.shares import EVERY_SPLIT, Counted, CountKind
from ops.status.figures import Figures
from ops.status.observation import INGEST, SINK, SPLIT, Observation
from ops.view.ledgers import SafeRows
from ops.view.view import MOST_RECEIPTS, NO_ROW_SAFE, ShownReceipt, SplitBalance, View

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
    balances = tuple(balance(safe, figures.rows, look.splits))
    if not _is_at_rest(figures):
        balances = tuple(map(_with_what_came_since, balances))
    elif _has_settled(figures):
        balances = tuple(replace(each, has_settled=True) for each in balances)
    return replace(
        view,
        safe_rows=safe_rows(safe, balances, figures.rejected[INGEST]),
        categories=safe.categories,
        category_count=safe.category_count,
        rejected=rejected_by_reason(safe.of_rejected),
        has_older_rows=has_older_rows(safe),
        balance=balances,
    )


def closes(found: SplitBalance) -> bool:
    """Whether what went in has come out, neither less nor more."""
    return not found.missing


def has_older_rows(safe: SafeRows) -> bool:
    """Whether rows were written in format 1, of which nothing says how many were read."""
    kinds = {key.kind for key in (*safe.of_rejected, *safe.of_files)}
    return CountKind.OLDER in kinds or (not kinds and bool(safe.in_files or safe.rejected))


def safe_rows(safe: SafeRows, balances: Sequence[SplitBalance], rejected_by_ingest: int) -> int:
    """The rows that are safe, once for each split: those that ingest has rejected are no split's."""
    if balances:
        return sum(each.in_files + each.rejected + each.rejected_and_replayed for each in balances)
    if has_older_rows(safe):
        return safe.in_files + max(0, safe.rejected - rejected_by_ingest)
    kinds = {CountKind.READ, CountKind.REPLAY}
    return sum(
        rows
        for tallies in (safe.of_files, safe.of_rejected)
        for key, rows in tallies.items()
        if key.kind in kinds and key.split != EVERY_SPLIT
    )


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
    """The balance of each split in use, `splits` being digests of their names; `rows` were read of all sources.

    A split of which no row is safe has no name here; it has none of the rows.
    """
    names = {key.split for key in (*safe.of_files, *safe.of_rejected)} - {EVERY_SPLIT}
    used = sorted(name for name in names if digest(name) in splits)
    yield from named_balance(safe, dict.fromkeys(used, rows))
    if rows and not has_older_rows(safe):
        unnamed = len(splits - {digest(name) for name in used})
        yield from [SplitBalance(NO_ROW_SAFE, rows, 0, 0, 0, rows)] * unnamed


def named_balance(safe: SafeRows, read: Mapping[str, int]) -> list[SplitBalance]:
    """The balance of each of these splits, of which so many rows were read; none where there are rows of format 1."""
    if has_older_rows(safe):
        return []
    balances: list[SplitBalance] = []
    rejected = rejected_by_reason(safe.of_rejected)
    for split, rows in sorted(read.items()):
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
        missing = rows + replayed - in_files - left - taken
        balances.append(SplitBalance(split, rows, in_files, left, replayed, missing, taken))
    return balances


def _is_at_rest(figures: Figures) -> bool:
    """Whether no row moves, as far as is known."""
    if figures.over_s:
        return not any(each.rows_per_s for each in figures.stages)
    return not any(each.lag_rows or each.lag_bytes for each in figures.stages)


def _has_settled(figures: Figures) -> bool:
    """Whether no row waits, and none has moved since an earlier look, so that what is safe by now was all in this one.

    The ledgers are read before anything else in a look.
    """
    waiting = any(each.lag_rows or not each.is_exact for each in figures.stages)
    return bool(figures.over_s) and not waiting and _is_at_rest(figures)


def _with_what_came_since(found: SplitBalance) -> SplitBalance:
    """While rows move, ledgers may have some that Kafka shows as read in the next look only: what is safe was read."""
    return replace(found, rows=found.rows - found.missing, missing=0) if found.missing < 0 else found
