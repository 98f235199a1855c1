"""What a partition's ledger says of its files, read at any time, also while a sink writes to it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from common.protocol.category_keys import parse_file_key
from services.sink.ledger import sql
from services.sink.ledger.entries import REJECTED_KEY, Sums

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
    return sum(count for (count,) in _rows(ledger, sql.COUNT_IN_PLACE))


def facts_of(ledger: Path) -> dict[str, str]:
    """The facts of a ledger; none while a sink is just creating it."""
    return dict(_rows(ledger, sql.FACTS))


def _pages(ledger: Path, statement: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement that takes a key, a part and how many rows behind these are wanted."""
    key, part = b"", -1
    while page := _rows(ledger, statement, {"key": key, "part": part, "count": _PAGE_ROWS}):
        yield from page
        key, part, *_ = page[-1]


def _rows(ledger: Path, statement: str, parameters: _Parameters = ()) -> list[tuple[Any, ...]]:
    while True:
        # A ledger that no sink has open is one file. Opened as immutable, it gets no other files of SQLite's beside it,
        # and the state afterwards shows whether a sink opened it meanwhile. A ledger that a sink has open is opened for
        # writing: if the sink closes it first, the last to close removes those other files, which a reader that may not
        # write cannot. (SQLite reads a ledger in a read-only folder all the same.)
        before = is_quiet, _ = _state(ledger)
        try:
            rows = _query(ledger, "mode=ro&immutable=1" if is_quiet else "mode=rw", statement, parameters)
        except sqlite3.Error:
            if _state(ledger) == before:
                raise
        else:
            if not is_quiet or _state(ledger) == before:
                return rows


def _state(ledger: Path) -> tuple[bool, int]:
    """Whether no sink has the ledger open, and when its file was last changed."""
    return not Path(f"{ledger}-wal").exists(), ledger.stat().st_mtime_ns


def _query(ledger: Path, how: str, statement: str, parameters: _Parameters) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?{how}", uri=True)) as database:
        if not database.execute(sql.HAS_FILES).fetchone():
            # A sink is just creating it.
            return []
        return database.execute(statement, parameters).fetchall()
