"""What a report shows of an output folder, as values."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from common.protocol.category_keys import Category
from common.protocol.receipts import Receipt
from ops.report.rejected_rows import RejectedRow
from ops.report.sums import RejectedSum
from ops.report.verdict import Verdict
from ops.verify.balance import Standing
from ops.view.view import SplitBalance


class SourceLine(Struct, frozen=True):
    """A source: how it stands, and its receipt, if there is one here. `rows` is None while its end has not come.

    `rejected` are what was no row, and the rows that splits rejected, once for each; not what was sent again.
    """

    source: str
    standing: Standing
    reason: str
    rows: int | None
    rejected: int
    safe_ms: int
    receipt: Receipt | None = None


class CategoryLine(Struct, frozen=True):
    """A category, of whatever schema: its rows, their bytes before any compression, and the first of its files."""

    split: str
    category: Category
    rows: int
    size: int
    files: int
    paths: Sequence[str]


class Origins(Struct, frozen=True):
    """What the output was made from and by; each may be several, or none where nothing says so.

    `topics` has the id of each ledger's topic, by the ledger's name.
    """

    formats: Sequence[int]
    clusters: Sequence[str]
    folders: Sequence[str]
    versions: Sequence[str]
    topics: Mapping[str, str]


class Success(Struct, frozen=True):
    """What `_SUCCESS` says."""

    created: str = ""
    sources: int = 0
    rows: int = 0
    folder: str = ""
    nacre: str = ""


class Categories(Struct):
    """The largest categories, and how many there are of all, with their rows, bytes and files."""

    lines: list[CategoryLine] = field(default_factory=list)
    count: int = 0
    rows: int = 0
    size: int = 0
    files: int = 0


class Contents(Struct, frozen=True):
    """Everything that a report shows of a folder.

    `sources` are the first of those that are not delivered, and then the largest. `rows_read` are the rows before the
    latest end of each source, or, with those of sources that are forgotten, the most that a split knows of. With
    `may_grow`, a partition may still get rows. `has_older_rows`: some were written in format 1. `safe_times` and
    `latencies` have a row once for each split.
    """

    root: Path
    verdict: Verdict
    may_grow: bool
    success: Success | None
    origins: Origins
    sources: Sequence[SourceLine]
    source_count: int
    delivered_count: int
    receipt_count: int
    rows_read: int
    splits: Sequence[SplitBalance]
    has_older_rows: bool
    categories: Categories
    rejected: Sequence[RejectedSum]
    rejected_in_file: int
    rejected_rows: Sequence[RejectedRow]
    latencies: Mapping[int, int]
    p50_ms: int | None
    p99_ms: int | None
    safe_times: Sequence[tuple[int, int]]
