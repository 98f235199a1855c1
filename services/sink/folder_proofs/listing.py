"""The files of the folder that stay as they are, by path, in a temporary database: there may be very many."""

from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path

from common.protocol.category_keys import parse_file_key
from services.sink.disk.temporary import open_temporary, temporary_errors
from services.sink.folder_proofs.descriptor import Resource, resource_name
from services.sink.ledger.entries import REJECTED_KEY, Sums

# A file's key in its ledger, its path and its sums.
Listed = tuple[bytes, str, Sums]
# The schema of the file of rejected rows. No schema has this id.
OF_REJECTED = ""
_AT_ONCE = 1_000
_TABLES = """
CREATE TABLE files (path TEXT PRIMARY KEY, schema TEXT, size INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID
"""


class ManifestListing:
    """The files that one manifest of the folder `root` names. One thread after the other uses it.

    Every method raises DiskError.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._db = open_temporary(root, _TABLES)

    def __len__(self) -> int:
        with temporary_errors(self._root):
            [(rows,)] = self._db.execute("SELECT count(*) FROM files")
        return int(rows)

    def add(self, files: Iterable[Listed]) -> None:
        """Add the files of a ledger."""
        rows = ((path, schema_of(key), sums.size, sums.sha256) for key, path, sums in files)
        # Errors in reading the ledger are none of this database.
        while some := list(islice(rows, _AT_ONCE)):
            with temporary_errors(self._root):
                self._db.executemany("INSERT INTO files VALUES (?, ?, ?, ?)", some)

    def schemas(self) -> list[str]:
        """The ids of the files' schemas."""
        with temporary_errors(self._root):
            return [schema for (schema,) in self._db.execute("SELECT DISTINCT schema FROM files")]

    def lines(self) -> Iterator[bytes]:
        """Yield what `sha256sum -c` reads. No path holds a character that it would want escaped."""
        with temporary_errors(self._root):
            for path, sha256 in self._db.execute("SELECT path, sha256 FROM files ORDER BY path"):
                yield f"{sha256}  {path}\n".encode()

    def resources(self, tables: dict[str, bytes]) -> Iterator[Resource]:
        """Yield the files as a data package has them; `tables` are those of the schemas."""
        with temporary_errors(self._root):
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
