"""Databases for what would not fit into memory, in files that have no name: when their process ends, they are gone.

SQLite's own temporary databases are in a folder like /tmp, and a container may have none that can be written to.
These are where sink writes anyway.
"""

import errno
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.protocol.output_folder import HIDDEN, TEMPORARY, UNDER_WAY
from services.sink.disk.database_errors import failure_of, is_damage
from services.sink.disk.errors import DiskError
from services.sink.disk.output_root import OutputRoot


def open_temporary(root: Path, tables: str) -> sqlite3.Connection:
    """Open a new database with these tables in an output folder. One thread after the other may use it. DiskError.

    It has begun a transaction that is never committed, so nothing that fits into SQLite's cache is written to the disk.
    After an error or a rollback the database cannot be used any more.
    """
    path = f"{TEMPORARY}{uuid.uuid4().hex}{UNDER_WAY}"
    with OutputRoot(root) as output, temporary_errors(root):
        # Created here, because SQLite would follow a link in the place of the folder.
        os.close(output.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, make_folders=True))
        database = sqlite3.connect(root / path, isolation_level=None, check_same_thread=False)
        try:
            # Files of killed processes go, too. Where another sink loses the one that it has just created, SQLite
            # creates it again: no two have the same name.
            for left in root.glob(f"{TEMPORARY}*{UNDER_WAY}"):
                output.remove(f"{HIDDEN}/{left.name}")
            # A journal in a file would be looked for under the name.
            database.execute("PRAGMA journal_mode=OFF")
            database.execute("PRAGMA synchronous=OFF")
            database.execute("PRAGMA temp_store=MEMORY")
            database.executescript(f"{tables};BEGIN")
        except BaseException:
            database.close()
            raise
    return database


@contextmanager
def temporary_errors(root: Path) -> Iterator[None]:
    """Raise DiskError for any failure of the disk that holds a temporary database: the next one begins anew."""
    what = f"a temporary file in {root / HIDDEN}"
    try:
        yield
    except sqlite3.DatabaseError as error:
        if failure := failure_of(what, error):
            raise failure from error
        if is_damage(error):
            raise DiskError(errno.EIO, f"{what} is damaged ({error})") from error
        raise
