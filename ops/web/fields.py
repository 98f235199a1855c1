"""From a view to what the page shows, as JSON has it: of bounded size, and with escapes in what others wrote. Pure."""

from collections.abc import Mapping
from typing import Any

from common.escaping import printable
from ops.status.figures import StageFigures
from ops.status.observation import INGEST, SINK, SPLIT, Replica
from ops.status.report import ranges_of, stage_fields
from ops.status.source_figures import Delivery
from ops.tap.rows import Row
from ops.view.view import ShownReceipt, View
from ops.web.history import Point

# The page shows so many of each; the numbers of all stand beside them.
MOST_CATEGORIES = 100
MOST_RECEIPTS = 20
MOST_REPLICAS = 50
MOST_CODES = 30
_MOST_SIGNS = 400
_MS_PER_S = 1000

Fields = dict[str, Any]


def fields_of(view: View, where: str) -> Fields:
    """The figures. `where` says which pipeline it is."""
    found = view.figures
    return {
        "at_ms": found.at_ms,
        "where": printable(where),
        "verdict": found.verdict,
        "note": printable(found.note),
        "stages": [_stage(each) for each in found.stages],
        "sources": {"count": len(found.sources)} | {each.replace(" ", "_"): found.count(each) for each in Delivery},
        "sent_rows": view.sent_rows,
        "safe_rows": view.safe_rows,
        "oldest_unsafe_s": view.oldest_unsafe_s,
        "rejected_rows": sum(found.rejected.values()),
        "categories": {
            "count": view.category_count,
            "largest": [
                {
                    "split": _cut(each.split),
                    "category": _cut(each.category),
                    "rows": each.rows,
                    "files": each.files,
                }
                for each in view.categories[:MOST_CATEGORIES]
            ],
        },
        "rejected": [
            {"split": _cut(split), "code": _cut(code), "rows": rows}
            for (split, code), rows in list(view.rejected.items())[:MOST_CODES]
        ],
        "balance": [
            {
                "split": _cut(each.split),
                "rows": each.rows,
                "in_files": each.in_files,
                "rejected": each.rejected,
                "replayed": each.replayed,
                "rejected_and_replayed": each.rejected_and_replayed,
                "missing": max(0, each.missing),
                "surplus": each.surplus,
                "lost": each.lost,
            }
            for each in view.balance
        ],
        "ledgers_trouble": _cut(view.ledgers_trouble),
        "has_older_rows": view.has_older_rows,
        "receipts": [_receipt(each) for each in view.receipts[:MOST_RECEIPTS]],
        "receipt_count": view.receipt_count,
    }


def point_of(view: View) -> Point:
    """What the plots show of a view."""
    stages = {stage.name: stage for stage in view.figures.stages}
    return Point(
        view.figures.at_ms / _MS_PER_S,
        stages[INGEST].rows_per_s,
        stages[SPLIT].rows_per_s,
        stages[SINK].rows_per_s,
        stages[SPLIT].lag_rows,
        stages[SINK].lag_rows,
        view.oldest_unsafe_s,
    )


def rejected_fields(row: Row) -> Fields:
    """A rejected row as the page shows it. `size` is that of the whole row, None if it is shown whole."""
    text, origin = row.value.decode(row.encoding, "backslashreplace"), row.origin
    is_whole = len(text) <= _MOST_SIGNS and len(row.value) == row.size
    return {
        "source": _cut(origin.source or "(source not known)"),
        "line": row.line,
        "split": _cut(origin.split or ""),
        "code": _cut(origin.code or ""),
        "reason": _cut(origin.reason or ""),
        "row": _cut(text),
        "size": None if is_whole else row.size,
    }


def _stage(stage: StageFigures) -> Fields:
    rows = {(each.topic, each.number): each.rows for each in stage.partitions}
    return {
        **stage_fields(stage),
        "name": stage.name,
        "reason": printable(stage.reason),
        "replicas": [_replica(each, rows) for each in stage.replicas[:MOST_REPLICAS]],
        "replica_count": len(stage.replicas),
    }


def _replica(replica: Replica, rows: Mapping[tuple[str, int], int]) -> Fields:
    """`rows` are those that wait, by partition; where none are counted, as for ingest, they are None."""
    has = []
    for topic, numbers in sorted(replica.partitions.items()):
        if numbers:
            waiting = [rows[topic, number] for number in numbers if (topic, number) in rows]
            has.append({"topic": topic, "numbers": ranges_of(numbers), "rows": sum(waiting) if waiting else None})
    return {"client": _cut(replica.client), "has": has}


def _receipt(receipt: ShownReceipt) -> Fields:
    return {
        "source": printable(receipt.source),
        "rows": receipt.rows,
        "rejected": receipt.rejected,
        "safe_ms": receipt.safe_ms,
        "p50_ms": receipt.p50_ms,
        "p99_ms": receipt.p99_ms,
    }


def _cut(text: str) -> str:
    return printable(text if len(text) <= _MOST_SIGNS else f"{text[:_MOST_SIGNS]}…")
