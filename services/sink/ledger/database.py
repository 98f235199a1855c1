"""What of a partition is safely on disk: the next offset, and each file's length, rows and checksum.

One SQLite database per partition, beside the files. A commit costs what has changed, whatever the number of files, and
is there whole or not at all. (https://sqlite.org/atomiccommit.html)
"""

import errno
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from common.errors import ServiceError
from services.sink.disk.errors import DiskError
from services.sink.disk.output_root import OutputRoot
from services.sink.ledger.entries import Changes, Entry

# Raised with every change of the tables.
_VERSION = 3
# In one transaction: of a ledger that was made by half nobody could say whether it is of another version.
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE partition (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    key BLOB NOT NULL,
    part INTEGER NOT NULL,
    path TEXT NOT NULL UNIQUE,
    final TEXT NOT NULL,
    length INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    open_line INTEGER NOT NULL,
    began_at REAL,
    changed_at REAL,
    PRIMARY KEY (key, part)
) WITHOUT ROWID;
-- Files that stay open have no times, and cost these nothing.
CREATE INDEX begun ON files (began_at) WHERE began_at IS NOT NULL;
CREATE INDEX changed ON files (changed_at) WHERE changed_at IS NOT NULL;
CREATE TABLE finished (
    key BLOB NOT NULL,
    part INTEGER NOT NULL,
    path TEXT NOT NULL UNIQUE,
    final TEXT NOT NULL,
    length INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    in_place INTEGER NOT NULL,
    PRIMARY KEY (key, part)
) WITHOUT ROWID;
CREATE INDEX on_their_way ON finished (in_place) WHERE in_place = 0;
-- -1: not in its place, but its packed copy is whole.
CREATE INDEX packed ON finished (in_place) WHERE in_place = -1;
PRAGMA user_version = {_VERSION};
COMMIT;
"""
# The first of a category's open files: a crash may leave the names of further ones, which have no rows.
_FIND_FILES = "SELECT *, min(part) FROM files WHERE key IN"
_FIND_PARTS = "SELECT key, max(part) FROM finished WHERE key IN"
_FIND_DUE = "SELECT * FROM files WHERE began_at <= ? OR changed_at <= ? LIMIT ?"
_SET_FACT = "INSERT INTO partition VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_SET_FILE = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, part) DO UPDATE SET
    length = excluded.length, rows = excluded.rows, checksum = excluded.checksum, open_line = excluded.open_line,
    changed_at = excluded.changed_at
"""
_DROP_FILE = "DELETE FROM files WHERE key = ? AND part = ?"
_ADD_FINISHED = "INSERT INTO finished VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
_SET_PACKED = "UPDATE finished SET in_place = -1 WHERE key = ? AND part = ?"
_SET_IN_PLACE = "UPDATE finished SET in_place = 1 WHERE key = ? AND part = ?"
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


def check_ledger(output: OutputRoot, path: str) -> None:
    """ServiceError when a ledger, or a file that SQLite keeps beside it, is a symbolic link or reached through one."""
    # SQLite takes a path and follows links. What is made a link between this look and its opening is followed: who can
    # do that can write the ledger itself, and `OutputRoot` refuses whatever path it may then name outside.
    for suffix in ("", "-wal", "-shm", "-journal"):
        output.status(path + suffix)


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
                if self._is_new():
                    self._db.executescript(_SCHEMA)
            except (sqlite3.Error, ServiceError):
                self._db.close()
                raise

    def _is_new(self) -> bool:
        [(version,)] = self._db.execute("PRAGMA user_version")
        if version == _VERSION:
            return False
        if self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
            return True
        raise ServiceError(
            f"ledger {self._path} is of another version of sink: begin anew with another OUTPUT_DIR, which gets "
            "everything that Kafka still has"
        )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def facts(self) -> dict[str, str]:
        """The facts about the partition."""
        with self._turn, self._clear_errors():
            return dict(self._db.execute("SELECT name, value FROM partition"))

    def lengths(self) -> Iterator[tuple[str, int]]:
        """Path and length of every open file, one after the other. Nothing else may be asked for meanwhile."""
        with self._turn, self._clear_errors():
            yield from self._db.execute("SELECT path, length FROM files")

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """The entries of those of these keys that have, or had, a file."""
        found: dict[bytes, Entry] = {}
        with self._turn, self._clear_errors():
            for at in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[at : at + _KEYS_PER_QUERY]
                marks = f"({','.join('?' * len(some))})"
                for key, part in self._db.execute(f"{_FIND_PARTS} {marks} GROUP BY key", some):
                    found[key] = Entry(key, "", part=part + 1)
                for *columns, _ in self._db.execute(f"{_FIND_FILES} {marks} GROUP BY key", some):
                    entry = _entry(columns)
                    found[entry.key] = entry
        return found

    def due(self, begun_by: float, changed_by: float, limit: int) -> list[Entry]:
        """Some of the open files that were begun, or last added to, by these times."""
        with self._turn, self._clear_errors():
            return [_entry(columns) for columns in self._db.execute(_FIND_DUE, (begun_by, changed_by, limit))]

    def latest_begun(self) -> float:
        """When the latest of the open files was begun, as its clock said; 0.0 where files are never finished."""
        with self._turn, self._clear_errors():
            [(at,)] = self._db.execute("SELECT max(began_at) FROM files WHERE began_at IS NOT NULL")
            return float(at or 0.0)

    def unused(self, limit: int) -> list[Entry]:
        """Some of the open files that have no rows."""
        with self._turn, self._clear_errors():
            found = self._db.execute("SELECT * FROM files WHERE length = 0 LIMIT ?", (limit,))
            return [_entry(columns) for columns in found]

    def unfinished(self) -> list[Entry]:
        """The files that are to be finished, not known to be packed or in their last place."""
        return self._finished("in_place = 0")

    def packed(self) -> list[Entry]:
        """The files whose packed copies are whole, and not known to be in their last place."""
        return self._finished("in_place = -1")

    def _finished(self, where: str) -> list[Entry]:
        with self._turn, self._clear_errors():
            found = self._db.execute(f"SELECT *, 0, 0 FROM finished WHERE {where}")  # noqa: S608 - of the two above
            return [_entry(columns) for columns in found]

    def commit(self, facts: dict[str, str], changes: Changes) -> None:
        """Enter these facts and files, all or none."""
        with self._transaction():
            self._db.executemany(_SET_FACT, facts.items())
            self._db.executemany(_DROP_FILE, ((entry.key, entry.part) for entry in changes.finished))
            self._db.executemany(_ADD_FINISHED, (_columns(entry)[:7] for entry in changes.finished))
            self._db.executemany(_SET_FILE, map(_columns, changes.open))

    def drop(self, entries: Iterable[Entry]) -> None:
        """Forget open files that have no rows."""
        with self._transaction():
            self._db.executemany(_DROP_FILE, ((entry.key, entry.part) for entry in entries))

    def set_packed(self, entries: Collection[Entry]) -> None:
        """Enter that the packed copies of these finished files are whole and safe."""
        if entries:
            with self._transaction():
                self._db.executemany(_SET_PACKED, ((entry.key, entry.part) for entry in entries))

    def set_in_place(self, entries: Iterable[Entry]) -> None:
        """Enter that these finished files are in their last place."""
        with self._transaction():
            self._db.executemany(_SET_IN_PLACE, ((entry.key, entry.part) for entry in entries))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn, self._clear_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise ServiceError(
                f"ledger {self._path}: two categories would share a file ({error}): set a PATH_TEMPLATE that keeps "
                "split and category apart with /, and another OUTPUT_DIR"
            ) from error
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


def _columns(entry: Entry) -> tuple[object, ...]:
    times = (entry.began_at, entry.changed_at) if entry.final else (None, None)
    return (
        entry.key, entry.part, entry.path, entry.final, entry.length, entry.rows, entry.checksum, entry.open_line,
        *times,
    )  # fmt: skip


def _entry(columns: Sequence[Any]) -> Entry:
    key, part, path, final, length, rows, checksum, open_line, began_at, changed_at = columns
    return Entry(key, path, length, rows, checksum, open_line, part, final, began_at or 0.0, changed_at or 0.0)
