"""The files of the folder that stay as they are, by path, in a database without a file: there may be very many."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import count

from common.protocol.category_keys import parse_file_key
from services.sink.folder_proofs.descriptor import Resource, resource_name
from services.sink.ledger.entries import REJECTED_KEY, Sums

# A file's key in its ledger, its path and its sums.
Listed = tuple[bytes, str, Sums]
# The schema of the file of rejected rows. No schema has this id.
OF_REJECTED = ""


class ManifestListing:
    """The files that one manifest names. One thread after the other uses it."""

    def __init__(self) -> None:
        # SQLite's own cache, and a temporary file that it removes as soon as it is open.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute(
            "CREATE TABLE files (path TEXT PRIMARY KEY, schema TEXT, size INTEGER, sha256 TEXT) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID")
        # Nothing is ever committed: one transaction costs less than many.
        self._db.execute("BEGIN")

    def __len__(self) -> int:
        [(rows,)] = self._db.execute("SELECT count(*) FROM files")
        return int(rows)

    def add(self, files: Iterable[Listed]) -> None:
        """Add the files of a ledger."""
        rows = ((path, schema_of(key), sums.size, sums.sha256) for key, path, sums in files)
        self._db.executemany("INSERT INTO files VALUES (?, ?, ?, ?)", rows)

    def schemas(self) -> list[str]:
        """The ids of the files' schemas."""
        return [schema for (schema,) in self._db.execute("SELECT DISTINCT schema FROM files")]

    def lines(self) -> Iterator[bytes]:
        """Yield what `sha256sum -c` reads. No path holds a character that it would want escaped."""
        for path, sha256 in self._db.execute("SELECT path, sha256 FROM files ORDER BY path"):
            yield f"{sha256}  {path}\n".encode()

    def resources(self, tables: dict[str, bytes]) -> Iterator[Resource]:
        """Yield the files as a data package has them; `tables` are those of the schemas."""
        self._db.execute("DELETE FROM names")
        for path, schema, size, sha256 in self._db.execute("SELECT * FROM files ORDER BY path"):
            name = next(name for attempt in count() if self._is_new(name := resource_name(path, attempt)))
            yield Resource(name, path, Sums(size, sha256), tables[schema])

    def _is_new(self, name: str) -> bool:
        return self._db.execute("INSERT OR IGNORE INTO names VALUES (?)", (name,)).rowcount == 1

    def close(self) -> None:
        """Drop it."""
        self._db.close()


def schema_of(key: bytes) -> str:
    """The id of the schema of the file with this key."""
    return OF_REJECTED if key == REJECTED_KEY else parse_file_key(key)[0]
