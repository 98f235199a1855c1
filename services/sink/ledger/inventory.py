"""Which file holds which category, read from a partition's ledger at any time, also while a sink writes to it."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from common.protocol.category_keys import parse_file_key
from services.sink.ledger import sql
from services.sink.ledger.entries import REJECTED_KEY
from services.sink.ledger.reading import read_safely

# Few at once: while a ledger is read, what sink writes to it piles up in a second file.
_PAGE_ROWS = 1_000

_Row = tuple[bytes, int, str, int, int, int]


def index_of(ledger: Path) -> Iterator[dict[str, Any]]:
    """Yield each file of a ledger: path, split, category, schema, rows, bytes, and whether it is finished."""
    page = read_safely(ledger, partial(_page, after=(b"", -1)))
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
        page = read_safely(ledger, partial(_page, after=page[-1][:2]))


def _page(database: sqlite3.Connection, after: tuple[bytes, int]) -> list[_Row]:
    """The files after this key and part, in their order."""
    if not database.execute(sql.HAS_FILES).fetchone():
        # A sink is just creating it.
        return []
    key, part = after
    return database.execute(sql.PAGE, {"key": key, "part": part, "count": _PAGE_ROWS}).fetchall()
