"""Finding the largest categories of a ledger in one pass that sorts nothing, however many there are.

SQLite would sort them in memory or in a temporary file, and a process that only looks may have room for neither.
"""

import sqlite3
from collections.abc import Iterator
from heapq import merge, nsmallest
from pathlib import Path

from msgspec import Struct

from common.protocol.category_keys import Category, parse_file_key
from services.sink.ledger import sql
from services.sink.ledger.reading import read_safely

# Categories have keys that differ in their schema alone: all before this field is of the schema.
_SPLIT = b',"split":'
# What precedes it is alike in all keys, so the next schema is behind this.
_BEHIND_SPLIT = b',"split;'


class LargestCategories(Struct, frozen=True):
    """The largest categories of a ledger: split, category, rows and files of each; and count and rows of all."""

    largest: tuple[tuple[str, Category, int, int], ...] = ()
    count: int = 0
    rows: int = 0


# A category's key, its rows and its files.
_Category = tuple[bytes, int, int]


def largest_categories(ledger: Path, most: int) -> LargestCategories:
    """The largest categories of a ledger that is not that of rejected rows, at most so many, the largest first."""

    def query(database: sqlite3.Connection) -> LargestCategories:
        # Several statements, of one state.
        database.execute("BEGIN")
        if not database.execute(sql.HAS_FILES).fetchone():
            # A sink is just creating it.
            return LargestCategories()
        count = total = 0

        def counted() -> Iterator[_Category]:
            nonlocal count, total
            for category in _categories(database):
                count += 1
                total += category[1]
                yield category

        largest = nsmallest(most, counted(), key=lambda each: (-each[1], each[0]))
        shown = ((*parse_file_key(key)[1:], rows, files) for key, rows, files in largest)
        return LargestCategories(tuple(shown), count, total)

    return read_safely(ledger, query)


def _categories(database: sqlite3.Connection) -> Iterator[_Category]:
    """Yield each category that has rows. Its files of all schemas, open and finished, come next to each other."""
    of_schemas = [
        database.execute(statement, {"at": len(before) + 1, "from": before + _SPLIT, "to": before + _BEHIND_SPLIT})
        for before in _schemas(database)
        for statement in (sql.ROWS_OF_OPEN, sql.ROWS_OF_FINISHED)
    ]
    last = first = b""
    rows = files = 0
    # By what the keys of a category have alike.
    for alike, key, more_rows, more_files in merge(*of_schemas):
        if alike == last:
            rows, files = rows + more_rows, files + more_files
            continue
        if files:
            yield first, rows, files
        last, first, rows, files = alike, key, more_rows, more_files
    if files:
        yield first, rows, files


def _schemas(database: sqlite3.Connection) -> Iterator[bytes]:
    """Yield what precedes the split in the keys of each schema."""
    after = b""
    while (key := database.execute(sql.NEXT_KEY, {"after": after}).fetchone()[0]) is not None:
        before = key[: key.index(_SPLIT)]
        yield before
        after = before + _BEHIND_SPLIT
