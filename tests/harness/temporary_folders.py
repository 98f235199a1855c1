"""A process in which SQLite finds no folder for temporary files, as in a container that can be written to nowhere."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

# SQLite gives up a temporary file whose path would be longer than 512 bytes. That holds for every user, root included.
_LONGEST = 500
_LONGEST_NAME = 200


@contextmanager
def no_temporary_files(aside: Path) -> Iterator[None]:
    """Let every temporary file that SQLite itself would open fail; `aside` gets a folder for that."""
    folder = aside.absolute()
    while (left := _LONGEST - len(str(folder))) > 1:
        # A single byte behind the next separator would be too few for a name.
        folder /= "x" * (left - 1 if left <= _LONGEST_NAME else _LONGEST_NAME - 2)
    folder.mkdir(parents=True)
    _set(str(folder))
    try:
        if _can_spill():
            pytest.skip("this build of SQLite does not let a program choose the folder for temporary files")
        yield
    finally:
        _set("")


def _set(folder: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        # It holds for the whole process.
        database.execute(f"PRAGMA temp_store_directory = '{folder}'")


def _can_spill() -> bool:
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.execute("CREATE TABLE spilt (value)")
        database.execute("BEGIN")
        try:
            database.executemany("INSERT INTO spilt VALUES (zeroblob(?))", [(1_000_000,)] * 5)
        except sqlite3.OperationalError:
            return False
    return True
