"""What a view shows of a pipeline at one moment, as values. Pure."""

from collections.abc import Mapping

from msgspec import Struct, field

from ops.status.figures import Figures
from ops.status.watching import Trouble

__all__ = [
    "MOST_CATEGORIES",
    "MOST_RECEIPTS",
    "NO_ROW_SAFE",
    "CategoryRows",
    "ShownReceipt",
    "SplitBalance",
    "Trouble",
    "View",
]

# In the place of a split's name that nothing at hand says yet.
NO_ROW_SAFE = "(no row is safe)"
MOST_CATEGORIES = 500
MOST_RECEIPTS = 100


class CategoryRows(Struct, frozen=True):
    """A category's `rows` that are safe in so many `files`, open and finished, of whatever schema.

    `category` is as in the data, its parts between `+`, an empty field as `(empty)`; "" in a split without columns. It
    is escaped before it is shown.
    """

    split: str
    category: str
    rows: int
    files: int


class SplitBalance(Struct, frozen=True):
    """rows + replayed = in_files + rejected + rejected_and_replayed + missing.

    `rows` were read, of all sources. `replayed` were rejected once, and sent again. With 0 `missing` the balance
    closes, and below 0 so many more rows are there than were read. Those that are missing are under way; where nothing
    moves and nothing waits any more (`has_settled`), they are lost.
    """

    split: str
    rows: int
    in_files: int
    rejected: int
    replayed: int
    missing: int
    rejected_and_replayed: int = 0
    has_settled: bool = False

    @property
    def lost(self) -> int:
        """How many rows are missing that nothing can bring any more."""
        return max(0, self.missing) if self.has_settled else 0

    @property
    def surplus(self) -> int:
        """How many rows are there beyond those that were read."""
        return max(0, -self.missing)


class ShownReceipt(Struct, frozen=True):
    """A source that is delivered, with so many rows read. `rejected`: by ingest and by splits, a row once for each.

    `safe_ms` is when its last row was safe (ms since 1970); latencies are None where no row was read.
    """

    source: str
    rows: int
    rejected: int
    safe_ms: int
    p50_ms: int | None
    p99_ms: int | None


class View(Struct, frozen=True):
    """All that is shown. What sink's ledgers say is None or empty where they are not at hand.

    `ledgers_trouble` says why ledgers that are there could not be read. `sent_rows` were committed to Kafka by ingest;
    `safe_rows` were made durable by sink, in files or as rejected by a split, a row once for each split.
    `oldest_unsafe_s` is the age of the oldest row that is not safe yet, 0.0 if all are, None if it is not known.
    `categories` are the largest first, at most MOST_CATEGORIES of `category_count`; `receipts` the latest first, at
    most MOST_RECEIPTS of `receipt_count`. `rejected` has rows that were not sent again, by split ("" is ingest's, for
    every split) and code. `balance` is by split in use; it is empty in a pipeline that `has_older_rows`, of format 1,
    whose rejected rows are of no known split.
    """

    figures: Figures
    sent_rows: int
    safe_rows: int | None
    oldest_unsafe_s: float | None
    categories: tuple[CategoryRows, ...] = ()
    category_count: int | None = None
    rejected: Mapping[tuple[str, str], int] = field(default_factory=dict)
    balance: tuple[SplitBalance, ...] = ()
    receipts: tuple[ShownReceipt, ...] = ()
    receipt_count: int = 0
    has_older_rows: bool = False
    ledgers_trouble: str = ""
