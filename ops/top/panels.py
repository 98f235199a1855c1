"""What is listed below the head: files, categories, replicas, rejected rows, the balance and receipts. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from ops.status.observation import SINK, SPLIT, Replica
from ops.status.report import duration, partitions_line
from ops.status.source_figures import Delivery, SourceFigures
from ops.top.cells import Bar, Cell, Column, Styled
from ops.top.panel import Panel, Sort
from ops.view.view import CategoryRows, ShownReceipt, SplitBalance, View

_UNKNOWN = "-"
_WHOLE = 100
_ALL = "all rows"
# Ingest rejects a row before any split sees it.
EVERY_SPLIT = "every split"
_DELIVERIES = {
    Delivery.DELIVERED: "green",
    Delivery.UNDER_WAY: "cyan",
    Delivery.REJECTED_WHOLE: "yellow",
    Delivery.UNKNOWN: "yellow",
}


class ShownReplica(Struct, frozen=True):
    """A replica of a stage, and the rows that wait in its partitions; None for ingest, which has files."""

    stage: str
    replica: Replica
    waiting: int | None


class Reason(Struct, frozen=True):
    """So many rows that a split, or ingest, has rejected for a reason."""

    split: str
    code: str
    rows: int


def _file_cells(file: SourceFigures, _: Mapping[str, float]) -> Sequence[Cell]:
    # Not rounded up: 100 % is all of it.
    read = _UNKNOWN if file.percent is None else f"{int(file.percent)} %"
    delivery = Styled(file.delivery, _DELIVERIES[file.delivery])
    return read, f"{file.rows:,}", duration(file.eta_s), delivery, file.source


def _category_cells(category: CategoryRows, whole: Mapping[str, float]) -> Sequence[Cell]:
    part = category.rows / whole[category.split]
    return category.split, category.category or _ALL, f"{category.rows:,}", Bar(part)


def _whole_bars(view: View) -> dict[str, float]:
    """How many rows a full bar stands for, by split: what its largest category will have once all files are safe."""
    safe = {
        each.split: 1 - max(0, each.missing) / (each.rows + each.replayed)
        for each in view.balance
        if each.rows + each.replayed
    }
    sized = [each for each in view.figures.sources if each.size]
    size, read = sum(each.size or 0 for each in sized), sum(each.read_bytes for each in sized)
    done = min(1.0, read / size) if size else 1.0
    largest: dict[str, float] = {}
    for each in view.categories:
        largest[each.split] = max(each.rows, largest.get(each.split, 1))
    return {split: rows / max(done * safe.get(split, 1.0), 1 / _WHOLE) for split, rows in largest.items()}


def _replicas(view: View) -> list[ShownReplica]:
    found: list[ShownReplica] = []
    for stage in view.figures.stages:
        waiting = {(each.topic, each.number): each.rows for each in stage.partitions}
        for replica in stage.replicas:
            held = [(topic, number) for topic, numbers in replica.partitions.items() for number in numbers]
            rows = sum(waiting.get(each, 0) for each in held) if stage.name in {SPLIT, SINK} else None
            found.append(ShownReplica(stage.name, replica, rows))
    return found


def _replica_cells(shown: ShownReplica, _: Mapping[str, float]) -> Sequence[Cell]:
    waits = _UNKNOWN if shown.waiting is None else f"{shown.waiting:,}"
    return shown.stage, shown.replica.client, waits, partitions_line(shown.replica.partitions)


def _reasons(view: View) -> list[Reason]:
    return [Reason(split, code, rows) for (split, code), rows in view.rejected.items()]


def _reason_cells(reason: Reason, whole: Mapping[str, float]) -> Sequence[Cell]:
    return reason.split or EVERY_SPLIT, reason.code, f"{reason.rows:,}", Bar(reason.rows / whole[_ALL])


def _balance_cells(balance: SplitBalance, _: Mapping[str, float]) -> Sequence[Cell]:
    if balance.surplus:
        missing = Styled(f"{balance.surplus:,} more", "red")
    elif balance.lost:
        missing = Styled(f"{balance.lost:,} lost", "red")
    else:
        missing = Styled(f"{balance.missing:,}", "yellow" if balance.missing else "green")
    return (
        balance.split,
        f"{balance.rows:,}",
        f"+{balance.replayed:,}",
        f"{balance.in_files:,}",
        f"{balance.rejected:,}",
        f"{balance.rejected_and_replayed:,}",
        missing,
    )


def _receipt_cells(receipt: ShownReceipt, _: Mapping[str, float]) -> Sequence[Cell]:
    at = datetime.fromtimestamp(receipt.safe_ms / 1000, UTC).strftime("%H:%M:%S")
    p50, p99 = (_UNKNOWN if each is None else f"{each:,}" for each in (receipt.p50_ms, receipt.p99_ms))
    return at, f"{receipt.rows:,}", f"{receipt.rejected:,}", p50, p99, receipt.source


PANELS = (
    Panel(
        "files",
        (
            Column("read", 5, is_number=True),
            Column("rows", 13, is_number=True),
            Column("left", 7, is_number=True),
            Column("delivery", 14),
            Column("source", keeps_end=True),
        ),
        lambda view: view.figures.sources,
        lambda file: str(file.source),
        _file_cells,
        (
            Sort("under way first"),
            Sort("rows", lambda file: -file.rows),
            Sort("read", lambda file: -1.0 if file.percent is None else file.percent),
            Sort("name", lambda file: file.source),
        ),
    ),
    Panel(
        "categories",
        (Column("split", 10), Column("category", 20), Column("rows", 13, is_number=True), Column("")),
        lambda view: view.categories,
        lambda each: f"{each.split}={each.category}",
        _category_cells,
        (
            Sort("rows"),
            Sort("split", lambda each: (each.split, -each.rows)),
            Sort("name", lambda each: (each.split, each.category)),
        ),
        _whole_bars,
        lambda view: view.category_count,
        "largest",
    ),
    Panel(
        "replicas",
        (Column("stage", 6), Column("replica", 24), Column("waits", 11, is_number=True), Column("partitions")),
        _replicas,
        lambda each: f"{each.stage} {each.replica.client}",
        _replica_cells,
        (Sort("stage"), Sort("waits", lambda each: -(each.waiting or 0))),
    ),
    Panel(
        "rejected",
        (Column("split", 16), Column("code", 16), Column("rows", 13, is_number=True), Column("")),
        _reasons,
        lambda each: f"{each.split or EVERY_SPLIT} {each.code}",
        _reason_cells,
        (Sort("rows"), Sort("split", lambda each: (each.split, each.code))),
        lambda view: {_ALL: max(view.rejected.values(), default=1)},
        left_out_of=lambda view: "rows of format 1" if view.has_older_rows else "",
    ),
    Panel(
        "balance",
        (
            Column("split"),
            Column("read", 11, is_number=True),
            Column("replayed", 8, is_number=True),
            Column("in files", 11, is_number=True),
            Column("rejected", 8, is_number=True),
            Column("and replayed", 12, is_number=True),
            Column("under way", 9, is_number=True),
        ),
        lambda view: view.balance,
        lambda each: str(each.split),
        _balance_cells,
        (Sort("name"), Sort("under way", lambda each: -each.missing)),
    ),
    Panel(
        "receipts",
        (
            Column("safe at", 8),
            Column("rows", 13, is_number=True),
            Column("rejected", 9, is_number=True),
            Column("p50 ms", 7, is_number=True),
            Column("p99 ms", 7, is_number=True),
            Column("source", keeps_end=True),
        ),
        lambda view: view.receipts,
        lambda each: str(each.source),
        _receipt_cells,
        (
            Sort("latest"),
            Sort("rows", lambda each: -each.rows),
            Sort("slowest", lambda each: -(each.p99_ms or 0)),
            Sort("name", lambda each: each.source),
        ),
        count_of=lambda view: view.receipt_count,
        listed="latest",
    ),
)
