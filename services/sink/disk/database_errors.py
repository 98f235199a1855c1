"""What SQLite's errors say of the disk."""

import errno
import os
import sqlite3

from services.sink.disk.errors import DiskError

# SQLite's primary codes for what a person can mend while sink waits. (https://sqlite.org/rescode.html)
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


def failure_of(what: str, error: sqlite3.Error) -> DiskError | None:
    """The failure of the disk that it is, if it is one; `what` could not be written."""
    number = _DISK_FAILURES.get(_code_of(error))
    return None if number is None else DiskError(number, f"cannot write {what}: {os.strerror(number)} ({error})")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it says that the database is damaged."""
    return _code_of(error) in _DAMAGES


def _code_of(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & _PRIMARY_CODE
