"""What of a partition is durable: the next offset, and each file's length, rows and checksum.

Each partition has one SQLite database, beside the files. A commit costs as much as has changed, however many files
there are, and is atomic. (https://sqlite.org/atomiccommit.html)
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from msgspec.structs import astuple

from common.errors import ServiceError
from common.protocol.identity import NEWEST
from services.sink.ledger import sql
from services.sink.ledger.entries import Changes, Entry, Sums, split_of
from services.sink.ledger.errors import clear_errors
from services.sink.ledger.tallies import enter, forget, read_unshared
from services.sink.tallies.additions import NOTHING_TALLIED, Tallied
from services.sink.tallies.states import Unshared

# The names of facts about the partition; `origin` has the others.
NEXT_OFFSET = "next_offset"
RULE = "path_template"
ENDS = "ends"
# While files that are due by a source's last end are still to be found: when all of them were begun. Otherwise -inf.
ENDED_AT = "ended_at"
# APPENDED_TO while files may be longer than the ledger knows, LIKE_LEDGER once all is durable and no sink adds to them.
FILES = "files"
LIKE_LEDGER = "like the ledger"
APPENDED_TO = "appended to"


class Ledger:
    """The ledger of one partition, in a pipeline of this format. Several threads may use it: they take turns.

    `is_rejected`: it is that of `rejected`, where rows may be of no split. `keeps_sums`: of finished files.

    Every method raises DiskError if the disk fails, and ServiceError if the ledger is damaged.
    """

    def __init__(self, path: Path, version: int = NEWEST, *, is_rejected: bool = False) -> None:
        self._path = path
        self._version = version
        self.keeps_sums = version > 1
        self._is_rejected = is_rejected
        self._turn = Lock()
        with clear_errors(self._path):
            # `_turn` keeps two threads from using it at once.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                # Without this a power cut could take back a commit.
                self._db.execute("PRAGMA synchronous=FULL")
                # There may be no folder for temporary files that can be written to.
                self._db.execute(sql.NO_TEMPORARY_FILES)
                if self._is_new():
                    self._db.executescript(sql.schema(version))
                elif self._is_first(version):
                    self._upgrade()
            except (sqlite3.Error, ServiceError):
                self._db.close()
                raise

    def _is_new(self) -> bool:
        [(version,)] = self._db.execute("PRAGMA user_version")
        if version == sql.VERSIONS[self._version] or self._is_first(self._version):
            return False
        if self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
            return True
        raise ServiceError(
            f"ledger {self._path} is of version {version}, and this version of sink reads "
            f"{sql.VERSIONS[self._version]}: use the one that wrote it, or another OUTPUT_DIR, which gets everything "
            "that Kafka still has"
        )

    def _is_first(self, version: int) -> bool:
        """Whether it is of format 1, and the pipeline was upgraded to this format since."""
        [(found,)] = self._db.execute("PRAGMA user_version")
        return version > 1 and found == sql.VERSIONS[1]

    def _upgrade(self) -> None:
        """Bring it from format 1 to format 2. What fails in between is undone, as the database is closed then."""
        self._db.executescript(sql.BEGIN_UPGRADE)
        older: Counter[str] = Counter()
        for key, rows in self._db.execute(sql.ROWS_BY_KEY):
            older[split_of(key)] += rows
        self._db.executemany(sql.ADD_OLDER, ((split, rows) for split, rows in older.items() if rows))
        self._db.execute(sql.END_UPGRADE)
        self._db.execute("COMMIT")

    def merge_log(self) -> None:
        """Bring what is committed from SQLite's log into the database: `close` does it otherwise, and blocks."""
        with self._turn, clear_errors(self._path):
            self._db.execute("PRAGMA wal_checkpoint")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def facts(self) -> dict[str, str]:
        """The facts about the partition."""
        with self._turn, clear_errors(self._path):
            return dict(self._db.execute(sql.FACTS))

    def lengths(self) -> Iterator[tuple[str, int]]:
        """Yield path and length of every open file. No other call may come before the last one is taken."""
        with self._turn, clear_errors(self._path):
            yield from self._db.execute(sql.LENGTHS)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """The entries of those of these keys that have a file, or had one."""
        found: dict[bytes, Entry] = {}
        with self._turn, clear_errors(self._path):
            for at in range(0, len(keys), sql.KEYS_PER_QUERY):
                some = keys[at : at + sql.KEYS_PER_QUERY]
                for key, part in self._db.execute(sql.of_keys(sql.FIND_PARTS, len(some)), some):
                    found[key] = Entry(key, "", part=part + 1)
                for *columns, _ in self._db.execute(sql.of_keys(sql.FIND_FILES, len(some)), some):
                    entry = _entry(columns)
                    found[entry.key] = entry
        return found

    def due(self, by: tuple[float, float], after: tuple[float, float], limit: int) -> list[Entry]:
        """At most `limit` open files that were begun, or last added to, by the one time or after the other."""
        with self._turn, clear_errors(self._path):
            return [_entry(columns) for columns in self._db.execute(sql.FIND_DUE, (*by, *after, limit))]

    def latest_begun(self) -> float:
        """When the latest of the open files was begun (seconds since 1970); 0.0 if files are never finished."""
        with self._turn, clear_errors(self._path):
            [(at,)] = self._db.execute(sql.LATEST_BEGUN)
            return float(at or 0.0)

    def unused(self, limit: int) -> list[Entry]:
        """At most `limit` open files without rows."""
        with self._turn, clear_errors(self._path):
            return [_entry(columns) for columns in self._db.execute(sql.UNUSED, (limit,))]

    def unfinished(self) -> list[Entry]:
        """The files to be finished that are neither in place nor ready, as far as is known."""
        return self._finished(sql.UNFINISHED)

    def ready(self) -> list[Entry]:
        """The files to be finished that are ready for their final names, and not in place as far as is known."""
        return self._finished(sql.READY)

    def _finished(self, statement: str) -> list[Entry]:
        with self._turn, clear_errors(self._path):
            return [_entry(columns) for columns in self._db.execute(statement)]

    def commit(
        self, facts: dict[str, str], changes: Changes, tallied: Tallied = NOTHING_TALLIED, now: float = 0.0
    ) -> list[Unshared]:
        """Enter these facts, files and rows by source in one transaction.

        The files are durable at `now` (seconds since 1970). Return the sources whose shares are to be issued.
        """
        with self._transaction():
            self._db.executemany(sql.SET_FACT, facts.items())
            self._db.executemany(sql.DROP_FILE, ((entry.key, entry.part) for entry in changes.finished))
            self._db.executemany(sql.ADD_FINISHED, (_columns(entry)[:7] for entry in changes.finished))
            self._db.executemany(sql.SET_FILE, map(_columns, changes.open))
            if tallied.shared:
                self._db.executemany(sql.SET_SHARED, ((source,) for source in tallied.shared))
            offset = int(facts.get(NEXT_OFFSET, 0))
            return enter(self._db, tallied.additions, offset, round(now * 1000), is_rejected=self._is_rejected)

    def unshared(self) -> list[Unshared]:
        """The sources whose shares are to be issued."""
        if self._version == 1:
            return []
        with self._turn, clear_errors(self._path):
            return read_unshared(self._db, int(dict(self._db.execute(sql.FACTS)).get(NEXT_OFFSET, 0)))

    def share_all(self) -> None:
        """The shares of all sources are to be issued, whether they were or not."""
        if self._version > 1:
            with self._transaction():
                # One by one: SQLite would put all of them into a temporary table.
                self._db.executemany(sql.SET_UNSHARED, self._db.execute(sql.ENDED))

    def knows(self, source: str) -> bool:
        """Whether there is anything of the source."""
        with self._turn, clear_errors(self._path):
            return self._db.execute(sql.KNOWS, (source,)).fetchone() is not None

    def forget(self, sources: Iterable[str]) -> set[str]:
        """Keep no more than the sum of these sources' tallies; return those that there were."""
        with self._transaction():
            return {source for source in sources if forget(self._db, source)}

    def drop(self, entries: Iterable[Entry]) -> None:
        """Remove the entries of open files without rows."""
        with self._transaction():
            self._db.executemany(sql.DROP_FILE, ((entry.key, entry.part) for entry in entries))

    def set_ready(self, prepared: Mapping[Entry, Sums | None]) -> None:
        """Enter that these files are ready for their final names: packed copies are complete and durable."""
        if prepared:
            known = [(*astuple(sums), entry.key, entry.part) for entry, sums in prepared.items() if sums is not None]
            with self._transaction():
                self._db.executemany(sql.SET_READY, ((entry.key, entry.part) for entry in prepared))
                if self.keeps_sums:
                    self._db.executemany(sql.SET_SUMS, known)

    def set_in_place(self, entries: Iterable[Entry]) -> None:
        """Enter that these files are in place: they have their final names."""
        with self._transaction():
            self._db.executemany(sql.SET_IN_PLACE, ((entry.key, entry.part) for entry in entries))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn, clear_errors(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
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
