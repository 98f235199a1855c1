"""What of a partition is safely on disk: the next offset, and each file's length, rows and checksum.

One SQLite database per partition, beside the files. A commit costs what has changed, whatever the number of files, and
is there whole or not at all. (https://sqlite.org/atomiccommit.html)
"""

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from common.errors import ServiceError
from common.tally import Tally
from services.sink.disk_errors import DiskError
from services.sink.entries import Entry
from services.sink.tree import Tree

_SCHEMA = """
CREATE TABLE IF NOT EXISTS partition (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    key BLOB PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    length INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    open_line INTEGER NOT NULL
) WITHOUT ROWID;
"""
_FIND_FILES = "SELECT key, path, length, rows, size, checksum, open_line FROM files WHERE key IN"
_SET_FACT = "INSERT INTO partition VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_SET_FILE = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    length = excluded.length, rows = excluded.rows, size = excluded.size, checksum = excluded.checksum,
    open_line = excluded.open_line
"""
# SQLite takes 999 in every version.
_KEYS_PER_QUERY = 900

# What a person can mend while sink waits, by SQLite's primary codes. (https://sqlite.org/rescode.html)
_DISK_FAILURES = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_PROTOCOL: errno.EBUSY,
}
_DAMAGES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY_CODE = 0xFF


def check_ledger(tree: Tree, path: str) -> None:
    """ServiceError when a ledger, or a file that SQLite keeps beside it, is a symbolic link or reached through one."""
    # SQLite takes a path and follows links. What is made a link between this look and its opening is followed: who can
    # do that can write the ledger itself, and `Tree` refuses whatever path it may then name outside.
    for suffix in ("", "-wal", "-shm", "-journal"):
        tree.status(path + suffix)


class Ledger:
    """The ledger of one partition. Threads that use it take turns, a call each.

    Every method raises DiskError when the disk fails it, ServiceError when the ledger is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Lock()
        with self._clear_errors():
            # Used in several threads, never in two at once.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                # A commit is on the disk when it returns, also through a power cut.
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(_SCHEMA)
            except sqlite3.Error:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def facts(self) -> dict[str, str]:
        """The facts about the partition."""
        with self._turn, self._clear_errors():
            return dict(self._db.execute("SELECT name, value FROM partition"))

    def lengths(self) -> Iterator[tuple[str, int]]:
        """Path and length of every file, one after the other. Nothing else may be asked for meanwhile."""
        with self._turn, self._clear_errors():
            yield from self._db.execute("SELECT path, length FROM files")

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """The entries of those of these keys that have one."""
        found: dict[bytes, Entry] = {}
        with self._turn, self._clear_errors():
            for at in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[at : at + _KEYS_PER_QUERY]
                query = f"{_FIND_FILES} ({','.join('?' * len(some))})"
                for key, path, length, rows, size, checksum, open_line in self._db.execute(query, some):
                    found[key] = Entry(key, path, length, Tally(rows, size, int(checksum)), bool(open_line))
        return found

    def commit(self, facts: dict[str, str], entries: Iterable[Entry]) -> None:
        """Enter these facts and files, all or none."""
        values = (
            (entry.key, entry.path, entry.length, entry.tally.rows, entry.tally.size, str(entry.tally.checksum),
             entry.open_line)
            for entry in entries
        )  # fmt: skip
        with self._turn, self._clear_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(_SET_FACT, facts.items())
                self._db.executemany(_SET_FILE, values)
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
            if code in _DISK_FAILURES:
                number = _DISK_FAILURES[code]
                reason = f"{os.strerror(number)} ({error})"
                raise DiskError(number, f"cannot write ledger {self._path}: {reason}") from error
            if code in _DAMAGES:
                raise ServiceError(
                    f"ledger {self._path} is damaged ({error}): begin anew with another OUTPUT_DIR, which gets "
                    "everything that Kafka still has"
                ) from error
            raise
