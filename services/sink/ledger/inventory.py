"""Which file holds which category, read from a partition's ledger at any time, also while a sink writes to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from common.protocol.category_keys import parse_file_key
from services.sink.ledger import sql
from services.sink.ledger.entries import REJECTED_KEY

# Few at once: while a ledger is read, what sink writes to it piles up in a second file.
_PAGE_ROWS = 1_000

_Row = tuple[bytes, int, str, int, int, int]


def index_of(ledger: Path) -> Iterator[dict[str, Any]]:
    """Yield each file of a ledger: path, split, category, schema, rows, bytes, and whether it is finished."""
    page = _read_page(ledger, (b"", -1))
    while page:
        for key, _, path, rows, length, in_place in page:
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
        page = _read_page(ledger, page[-1][:2])


def _read_page(ledger: Path, after: tuple[bytes, int]) -> list[_Row]:
    """The files after this key and part, in their order."""
    while True:
        # A ledger that no sink has open is one file. Opened as immutable, it gets no other files of SQLite's beside it,
        # and the state afterwards shows whether a sink opened it meanwhile. A ledger that a sink has open is opened for
        # writing: if the sink closes it first, the last to close removes those other files, which a reader that may not
        # write cannot. (SQLite reads a ledger in a read-only folder all the same.)
        before = is_quiet, _ = _state(ledger)
        try:
            page = _query(ledger, "mode=ro&immutable=1" if is_quiet else "mode=rw", after)
        except sqlite3.Error:
            if _state(ledger) == before:
                raise
        else:
            if not is_quiet or _state(ledger) == before:
                return page


def _state(ledger: Path) -> tuple[bool, int]:
    """Whether no sink has the ledger open, and when its file was last changed."""
    return not Path(f"{ledger}-wal").exists(), ledger.stat().st_mtime_ns


def _query(ledger: Path, how: str, after: tuple[bytes, int]) -> list[_Row]:
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?{how}", uri=True)) as database:
        if not database.execute(sql.HAS_FILES).fetchone():
            # A sink is just creating it.
            return []
        key, part = after
        return database.execute(sql.PAGE, {"key": key, "part": part, "count": _PAGE_ROWS}).fetchall()
