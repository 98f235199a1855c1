"""What a partition's ledger says of its files, read at any time, also while a sink writes to it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from common.protocol.category_keys import parse_file_key
from services.sink.ledger import sql
from services.sink.ledger.entries import REJECTED_KEY, Sums
from services.sink.ledger.reading import read_safely

# Few at once: while a ledger is read, what sink writes to it piles up in a second file.
_PAGE_ROWS = 1_000

_Parameters = Mapping[str, Any] | tuple[()]


def index_of(ledger: Path) -> Iterator[dict[str, Any]]:
    """Yield each file of a ledger: path, split, category, schema, rows, bytes, and whether it is finished."""
    for key, _, path, rows, length, in_place in _pages(ledger, sql.PAGE):
        schema, split, category = (None, None, None) if key == REJECTED_KEY else parse_file_key(key)
        yield {
            "path": path,
            "split": split,
            "category": category,
            "schema": schema,
            "rows": rows,
            "bytes": length,
            "finished": bool(in_place),
        }


def files_in_place(ledger: Path) -> Iterator[tuple[bytes, str, Sums]]:
    """Yield key, path and sums of each file of a ledger that is finished and in place, in a pipeline of format 2."""
    for key, _, path, size, sha256 in _pages(ledger, sql.PAGE_IN_PLACE):
        yield key, path, Sums(size, sha256)


def files_never_finished(ledger: Path) -> Iterator[tuple[bytes, str, int]]:
    """Yield key, path and length of each file of a ledger that has rows and will never be finished."""
    for key, _, path, length in _pages(ledger, sql.PAGE_NEVER_FINISHED):
        yield key, path, length


def count_in_place(ledger: Path) -> int:
    """How many files of a ledger are finished and in place."""
    return sum(count for (count,) in read_safely(ledger, partial(_rows, statement=sql.COUNT_IN_PLACE)))


def count_rows(ledger: Path) -> int:
    """How many rows the files of a ledger have."""
    return sum(rows or 0 for (rows,) in read_safely(ledger, partial(_rows, statement=sql.SUM_ROWS)))


def sum_tallies(ledger: Path) -> list[tuple[str, str, str, int]]:
    """The rows of all sources by split, kind and code; none in a pipeline of format 1."""
    return read_safely(ledger, _sum_tallies)


def keeps_tallies(ledger: Path) -> bool:
    """Whether a ledger keeps the rows of each source: not in format 1, and not while a sink is just creating it."""
    return read_safely(ledger, _has_tallies)


def _has_tallies(database: sqlite3.Connection) -> bool:
    return database.execute(sql.HAS_TALLIES).fetchone() is not None


def _sum_tallies(database: sqlite3.Connection) -> list[tuple[str, str, str, int]]:
    if not _has_tallies(database):
        return []
    # Added here: SQLite would sort the tallies of all sources.
    sums: Counter[tuple[str, str, str]] = Counter()
    for *counted, rows in database.execute(sql.TALLIES):
        sums[tuple(counted)] += rows
    return [(*counted, rows) for counted, rows in sums.items()]


def facts_of(ledger: Path) -> dict[str, str]:
    """The facts of a ledger; none while a sink is just creating it."""
    return dict(read_safely(ledger, partial(_rows, statement=sql.FACTS)))


def _pages(ledger: Path, statement: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement that takes a key, a part and how many rows behind these are wanted."""
    key, part = b"", -1
    while page := read_safely(ledger, partial(_page, statement=statement, key=key, part=part)):
        yield from page
        key, part, *_ = page[-1]


def _page(database: sqlite3.Connection, statement: str, key: bytes, part: int) -> list[tuple[Any, ...]]:
    return _rows(database, statement, {"key": key, "part": part, "count": _PAGE_ROWS})


def _rows(database: sqlite3.Connection, statement: str, parameters: _Parameters = ()) -> list[tuple[Any, ...]]:
    if not database.execute(sql.HAS_FILES).fetchone():
        # A sink is just creating it.
        return []
    return database.execute(statement, parameters).fetchall()
