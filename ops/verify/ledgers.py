"""What the ledgers of an output folder say, copied into a temporary database: memory does not grow with them.

The SQL is verify's own. Each ledger is read in one transaction, so that its files and its tallies fit each other.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import orjson

from common.errors import ConfigurationError, ServiceError
from common.protocol.output_folder import LEDGERS
from common.protocol.shares import Counted, CountKind, decode_ended, tallies_of
from common.rows.tally import Tally
from ops.verify.balance import Known, Passed
from ops.verify.copying import FILES, TABLES, copy_files, copy_tallies
from ops.verify.entries import File, file_from_row
from services.sink.ledger.reading import is_closed, read_safely

# By version of the tables: the pipeline's format.
_FORMATS = {3: 1, 4: 2}
_RULE = "path_template"
# Under this name a ledger has the rows of sources that are forgotten, and those that were written in format 1.
NO_SOURCE = ""

_FILE = f"SELECT * FROM ({FILES}) WHERE key = ? AND part = ?"  # noqa: S608 - of its own text
# How the files are: a sink of before this fact gives none.
_HOW = "SELECT value FROM partition WHERE name = 'files'"
_APPENDED_TO = "appended to"
# A category's files of all schemas: their keys are JSON, alike from the field `split` on.
_CATEGORIES = """
SELECT group_concat(DISTINCT hex(key)), sum(rows), sum(length), count(*) FROM files
WHERE split IS NOT NULL AND length > 0 GROUP BY substr(key, instr(key, CAST('"split":' AS BLOB)))
ORDER BY 2 DESC, min(key)
"""
_SUMS = "SELECT ledger, split, kind, code, sum(rows) FROM tallies GROUP BY ledger, split, kind, code"
# Of the rows that are in files, or rejected.
_SAFE_TIMES = """
SELECT s.safe_ms, sum(t.rows) FROM sources s JOIN tallies t ON t.source = s.source AND t.ledger = s.ledger
WHERE t.kind IN ('read', 'replay') GROUP BY s.safe_ms HAVING sum(t.rows) > 0 ORDER BY 1
"""
_ONE_FILE = "SELECT ledger, key, part, path, final, length, rows, checksum, state FROM files"


class Ledgers:
    """The ledgers of one output folder, as they were when they were copied."""

    def __init__(self, root: Path, *, with_files: bool = True) -> None:
        self.root = root
        self._with_files = with_files
        self._paths = sorted(root.glob(LEDGERS))
        if not self._paths:
            raise ConfigurationError(f"{root} has no ledgers: name the OUTPUT_DIR of a sink")
        # SQLite's own cache, and a temporary file that it removes as soon as it is open.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(TABLES)
        self.rules: dict[int, str] = {}
        self.formats: set[int] = set()
        try:
            for number, path in enumerate(self._paths):
                self._take(number, path)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Drop the copy."""
        self._db.close()

    @property
    def numbers(self) -> range:
        """The numbers of all ledgers."""
        return range(len(self._paths))

    @property
    def rejected(self) -> int | None:
        """The number of the ledger of `rejected`; None if there is none yet."""
        return next((number for number in self.numbers if self._paths[number].name.endswith("rejected-0.ledger")), None)

    def name(self, ledger: int) -> str:
        """A ledger's name."""
        return self._paths[ledger].name

    def _take(self, ledger: int, path: Path) -> None:
        try:
            read_safely(path, partial(self._copy, ledger))
        except sqlite3.Error as error:
            raise ServiceError(f"ledger {path} cannot be read: {error}") from error

    def _copy(self, ledger: int, source: sqlite3.Connection) -> None:
        """Copy a ledger, from the beginning each time."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        source.execute("BEGIN")
        [(version,)] = source.execute("PRAGMA user_version")
        if not source.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            # A sink is just creating it.
            return
        if version not in _FORMATS:
            raise ConfigurationError(f"ledger {self._paths[ledger]} is of another version of sink: use that version")
        self.formats.add(_FORMATS[version])
        facts = dict(source.execute("SELECT name, value FROM partition"))
        self.rules[ledger] = facts.get(_RULE, "")
        self._db.execute("BEGIN")
        for table in ("files", "tallies", "passed", "sources"):
            self._db.execute(f"DELETE FROM {table} WHERE ledger = ?", (ledger,))  # noqa: S608 - of its own names
        if self._with_files:
            copy_files(ledger, source, self._db)
        if _FORMATS[version] > 1:
            copy_tallies(ledger, source, self._db)
        self._db.execute("COMMIT")

    # Files

    def files(self) -> Iterator[File]:
        """Every file, the parts of a category in their order."""
        for row in self._db.execute(f"{_ONE_FILE} ORDER BY key, part"):
            yield file_from_row(row[0], row[1:])

    def keys(self) -> Iterator[bytes]:
        """The keys of all categories that have files, sorted."""
        key: bytes | None = b""
        while key is not None:
            [(key,)] = self._db.execute("SELECT min(key) FROM files WHERE key > ?", (key,))
            if key is not None:
                yield key

    def parts(self, key: bytes) -> list[File]:
        """The files of a category."""
        found = self._db.execute(f"{_ONE_FILE} WHERE key = ? ORDER BY part", (key,))
        return [file_from_row(row[0], row[1:]) for row in found]

    def categories(self) -> Iterator[tuple[list[bytes], int, int, int]]:
        """Each category that has files: its keys, one by schema, rows, bytes, number of files; most rows first."""
        for keys, rows, size, files in self._db.execute(_CATEGORIES):
            yield sorted(map(bytes.fromhex, keys.split(","))), rows, size, files

    def has_name(self, path: str) -> bool:
        """Whether some file may have this name."""
        return self._db.execute("SELECT 1 FROM names WHERE path = ?", (path,)).fetchone() is not None

    def now(self, file: File) -> tuple[File, bool]:
        """The file as its ledger has it now, and whether a sink may have added to it since: it works, or was killed."""

        def query(db: sqlite3.Connection) -> tuple[File, str | None]:
            db.execute("BEGIN")
            found = db.execute(_FILE, (file.key, file.part)).fetchone()
            how = db.execute(_HOW).fetchone()
            return file_from_row(file.ledger, found) if found else file, None if how is None else how[0]

        path = self._paths[file.ledger]
        was_closed = is_closed(path)
        now, how = read_safely(path, query)
        return now, not was_closed if how is None else how == _APPENDED_TO

    def rows_of_files(self) -> Iterator[tuple[int, str | None, int]]:
        """Ledger, split (None: rejected) and the rows of all its files."""
        yield from self._db.execute("SELECT ledger, split, sum(rows) FROM files GROUP BY ledger, split")

    @property
    def schemas(self) -> set[str]:
        """The ids of the schemas that have files."""
        return {schema for (schema,) in self._db.execute("SELECT DISTINCT schema FROM files") if schema is not None}

    @property
    def splits(self) -> set[str]:
        """The splits that have files, or that sources have passed an end for."""
        named = self._db.execute("SELECT split FROM files UNION SELECT split FROM passed")
        return {split for (split,) in named if split}

    # Sources

    def sources(self) -> Iterator[str]:
        """Every source, sorted."""
        for (source,) in self._db.execute("SELECT DISTINCT source FROM sources ORDER BY source"):
            yield source

    def known(self, source: str) -> Known:
        """All that the ledgers have of a source."""
        tallies: dict[int, dict[Counted, Tally]] = {}
        query = "SELECT ledger, split, kind, code, rows, size, checksum FROM tallies WHERE source = ?"
        for ledger, split, kind, code, rows, size, checksum in self._db.execute(query, (source,)):
            counted = Counted(split, CountKind(kind), code)
            tallies.setdefault(ledger, {})[counted] = Tally(rows, size, int(checksum, 16))
        query = "SELECT ledger, split, copies, ended, tallies FROM passed WHERE source = ?"
        passed = [
            Passed(ledger, split, copies, decode_ended(orjson.loads(ended)), tallies_of(orjson.loads(listed)))
            for ledger, split, copies, ended, listed in self._db.execute(query, (source,))
        ]
        safe_ms = dict(self._db.execute("SELECT ledger, safe_ms FROM sources WHERE source = ?", (source,)))
        return Known(source, tallies, passed, safe_ms)

    def tallied(self, ledger: int, split: str | None, kinds: Sequence[CountKind]) -> Iterator[tuple[str, Tally]]:
        """Sources with their rows of these kinds in a ledger, for one split; None: for all."""
        marks = ",".join("?" * len(kinds))
        query = f"SELECT source, split, rows, size, checksum FROM tallies WHERE ledger = ? AND kind IN ({marks})"  # noqa: S608 - only question marks
        for source, of, rows, size, checksum in self._db.execute(query, (ledger, *kinds)):
            if split is None or of == split:
                yield source, Tally(rows, size, int(checksum, 16))

    def sums(self) -> Iterator[tuple[int, Counted, int]]:
        """Ledger, what is counted, and how many rows that are over all sources, those that are forgotten as well."""
        for ledger, split, kind, code, rows in self._db.execute(_SUMS):
            yield ledger, Counted(split, CountKind(kind), code), rows

    def latencies(self) -> Iterator[Mapping[int, int]]:
        """Rows by bucket of latency, of each source in each ledger."""
        for (listed,) in self._db.execute("SELECT latencies FROM sources"):
            yield dict(orjson.loads(listed))

    def safe_times(self) -> Iterator[tuple[int, int]]:
        """When the last rows of a source in a ledger became safe (ms since 1970), and how many it has there."""
        yield from self._db.execute(_SAFE_TIMES)
