"""What SQLite says of a ledger, as an error that says what to do."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ServiceError
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


@contextmanager
def clear_errors(ledger: Path) -> Iterator[None]:
    """Raise DiskError for what a person can mend while sink waits, ServiceError for what is damaged."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ServiceError(
            f"ledger {ledger}: two categories would share a file ({error}): set a PATH_TEMPLATE that keeps "
            "split and category apart with /, and another OUTPUT_DIR"
        ) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
        if code in _DISK_FAILURES:
            number = _DISK_FAILURES[code]
            reason = f"{os.strerror(number)} ({error})"
            raise DiskError(number, f"cannot write ledger {ledger}: {reason}") from error
        if code in _DAMAGES:
            raise ServiceError(
                f"ledger {ledger} is damaged ({error}): begin again with another OUTPUT_DIR, which gets "
                "everything that Kafka still has"
            ) from error
        raise
