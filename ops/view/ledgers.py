"""What sink's ledgers say of all categories and sources, read while a sink writes to them."""

import heapq
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from common.protocol.shares import Counted, CountKind
from ops.status.files import ledgers_at
from ops.view.view import MOST_CATEGORIES, CategoryRows
from services.sink.ledger.inventory import count_rows, sum_tallies
from services.sink.ledger.largest import largest_categories

_EMPTY = "(empty)"


class SafeRows(Struct, frozen=True):
    """What all ledgers have. `in_files` are rows in categories' files; `rejected` are those in their file.

    The largest `categories` come first. `tallies` are the rows of all sources by what is counted, in files
    (`of_files`) and in the file of rejected ones (`of_rejected`); empty in a pipeline of format 1.
    """

    in_files: int = 0
    rejected: int = 0
    categories: tuple[CategoryRows, ...] = ()
    category_count: int = 0
    of_files: Mapping[Counted, int] = field(default_factory=dict)
    of_rejected: Mapping[Counted, int] = field(default_factory=dict)


class LedgerReader:
    """Reads the ledgers for an Observer; `latest` is what it has read last, None if they are not at hand.

    `trouble` says why some that are there could not be read, "" otherwise.
    """

    def __init__(self) -> None:
        self.latest: SafeRows | None = None
        self.trouble = ""

    def __call__(self, root: Path, prefix: str, topic_ids: Mapping[str, str]) -> tuple[int, int] | None:
        """Read them; return the rows in the categories' files and the rejected ones, as `count_written` does."""
        self.latest, self.trouble = None, ""
        try:
            self.latest = read_ledgers(root, prefix, topic_ids)
        except (OSError, sqlite3.Error, ValueError) as error:
            # It is damaged, or has what a newer version wrote.
            self.trouble = f"a ledger cannot be read: {error}"
        return None if self.latest is None else (self.latest.in_files, self.latest.rejected)


def read_ledgers(root: Path, prefix: str, topic_ids: Mapping[str, str]) -> SafeRows | None:
    """What the ledgers of the topics with these ids have; None if there are none at hand.

    Raises OSError, sqlite3.Error, ValueError for one that cannot be read.
    """
    in_files = rejected = category_count = 0
    of_files: Counter[Counted] = Counter()
    of_rejected: Counter[Counted] = Counter()
    categories: list[CategoryRows] = []
    ledgers = ledgers_at(root, prefix, topic_ids)
    for path, is_rejected in ledgers:
        tallies = of_rejected if is_rejected else of_files
        for split, kind, code, rows in sum_tallies(path):
            tallies[Counted(split, CountKind(kind), code)] += rows
        if is_rejected:
            rejected += count_rows(path)
            continue
        # A category is in one partition, so the largest of each partition are the largest of all.
        found = largest_categories(path, MOST_CATEGORIES)
        in_files, category_count = in_files + found.rows, category_count + found.count
        categories += [
            CategoryRows(split, _shown(category), rows, files) for split, category, rows, files in found.largest
        ]
    if not ledgers:
        return None
    largest = heapq.nsmallest(MOST_CATEGORIES, categories, key=lambda each: (-each.rows, each.split, each.category))
    return SafeRows(in_files, rejected, tuple(largest), category_count, of_files, of_rejected)


def _shown(category: tuple[str | None, ...]) -> str:
    return "+".join(_EMPTY if part is None else part for part in category)
