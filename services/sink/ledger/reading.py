"""Reading a partition's ledger at any time, also while a sink writes to it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from services.sink.ledger import sql

T = TypeVar("T")


def read_safely(ledger: Path, query: Callable[[sqlite3.Connection], T]) -> T:
    """What the query gives, which is asked again if a sink opened or closed the ledger meanwhile. sqlite3.Error."""
    while True:
        # A ledger that no sink has open is one file. Opened as immutable, it gets no other files of SQLite's beside it,
        # and the state afterwards shows whether a sink opened it meanwhile. A ledger that a sink has open is opened for
        # writing: if the sink closes it first, the last to close removes those other files, which a reader that may not
        # write cannot. (SQLite reads a ledger in a read-only folder all the same.)
        before = is_quiet, _ = _state_of(ledger)
        try:
            how = "mode=ro&immutable=1" if is_quiet else "mode=rw"
            with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?{how}", uri=True)) as database:
                # A page or a report may come from where no folder for temporary files can be written to.
                database.execute(sql.NO_TEMPORARY_FILES)
                found = query(database)
        except sqlite3.Error:
            if _state_of(ledger) == before:
                raise
        else:
            if not is_quiet or _state_of(ledger) == before:
                return found


def is_closed(ledger: Path) -> bool:
    """Whether no process has the ledger open; a reader closes one that a killed sink left open."""
    return not Path(f"{ledger}-wal").exists()


def _state_of(ledger: Path) -> tuple[bool, int]:
    """Whether it is closed, and when its file was last changed."""
    return is_closed(ledger), ledger.stat().st_mtime_ns
