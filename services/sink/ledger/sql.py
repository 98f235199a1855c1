"""A ledger's tables, and every statement that uses them.

No statement sorts, groups or changes very many rows at once: what SQLite keeps meanwhile is in memory.
"""

# Of the tables; those of format 1 are without tallies and sums. Increase them with every change.
VERSIONS = {1: 3, 2: 4}
_FILES = """
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
-- Files that are never finished have no times, and cost these indexes nothing.
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
-- -1: not in place, but its packed copy, if it is to be packed, is complete, and its sums are known, if there are any.
CREATE INDEX packed ON finished (in_place) WHERE in_place = -1;
"""
# Of the bytes that have the final name, packed or not. NULL: something else removed the file before they were known.
_SUMS = """
ALTER TABLE finished ADD COLUMN size INTEGER;
ALTER TABLE finished ADD COLUMN sha256 TEXT;
"""
_TALLIES = """
CREATE TABLE tallies (
    source TEXT NOT NULL,
    split TEXT NOT NULL,
    kind TEXT NOT NULL,
    code TEXT NOT NULL,
    rows INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- 16 hex digits: SQLite's integers have a sign.
    checksum TEXT NOT NULL,
    -- The source "" has the sums of those that are forgotten, and of the rows that were written in format 1.
    PRIMARY KEY (source, split, kind, code)
) WITHOUT ROWID;
CREATE TABLE ends (
    source TEXT NOT NULL, number INTEGER NOT NULL, ended TEXT NOT NULL, PRIMARY KEY (source, number)
) WITHOUT ROWID;
-- The latest end that each split has passed: how many copies of it came, and what was there of the split at the last.
CREATE TABLE passed (
    source TEXT NOT NULL,
    split TEXT NOT NULL,
    number INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    tallies TEXT NOT NULL,
    PRIMARY KEY (source, split)
) WITHOUT ROWID;
CREATE TABLE sources (
    source TEXT PRIMARY KEY,
    latencies TEXT NOT NULL,
    files TEXT NOT NULL,
    safe_ms INTEGER NOT NULL,
    -- 0: its share is to be issued.
    is_shared INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX unshared ON sources (is_shared) WHERE is_shared = 0;
"""

# Of this connection.
NO_TEMPORARY_FILES = "PRAGMA temp_store = MEMORY"


def schema(version: int) -> str:
    """All tables of a ledger in this format, in one transaction: half of them would be of no version."""
    further = "" if version == 1 else _SUMS + _TALLIES
    return f"BEGIN IMMEDIATE;{_FILES}{further}PRAGMA user_version = {VERSIONS[version]};COMMIT;"


# The first of a category's open files: a crash may leave entries of further ones, without rows.
FIND_FILES = "SELECT *, min(part) FROM files WHERE key IN ({keys}) GROUP BY key"
FIND_PARTS = "SELECT key, max(part) FROM finished WHERE key IN ({keys}) GROUP BY key"
LENGTHS = "SELECT path, length FROM files"
# Those that a crash left without rows.
UNUSED = "SELECT * FROM files WHERE length = 0 LIMIT ?"
LATEST_BEGUN = "SELECT max(began_at) FROM files WHERE began_at IS NOT NULL"
# With the columns of `files`: `in_place` for `open_line`, and no times.
_AS_OPEN = "SELECT key, part, path, final, length, rows, checksum, in_place, 0, 0 FROM finished "
UNFINISHED = _AS_OPEN + "WHERE in_place = 0"
READY = _AS_OPEN + "WHERE in_place = -1"
FIND_DUE = "SELECT * FROM files WHERE began_at <= ? OR changed_at <= ? OR began_at > ? OR changed_at > ? LIMIT ?"
FACTS = "SELECT name, value FROM partition"
SET_FACT = "INSERT INTO partition VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
SET_FILE = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, part) DO UPDATE SET
    length = excluded.length, rows = excluded.rows, checksum = excluded.checksum, open_line = excluded.open_line,
    changed_at = excluded.changed_at
"""
DROP_FILE = "DELETE FROM files WHERE key = ? AND part = ?"
ADD_FINISHED = """
INSERT INTO finished (key, part, path, final, length, rows, checksum, in_place) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
"""
SET_READY = "UPDATE finished SET in_place = -1 WHERE key = ? AND part = ?"
SET_SUMS = "UPDATE finished SET size = ?, sha256 = ? WHERE key = ? AND part = ?"
SET_IN_PLACE = "UPDATE finished SET in_place = 1 WHERE key = ? AND part = ?"

# From the tables of format 1, in a transaction that the caller ends with END_UPGRADE.
BEGIN_UPGRADE = f"BEGIN IMMEDIATE;{_SUMS}{_TALLIES}"
ROWS_BY_KEY = "SELECT key, rows FROM files UNION ALL SELECT key, rows FROM finished"
# Rows that are of no source.
ADD_OLDER = "INSERT INTO tallies VALUES ('', ?, 'older', '', ?, 0, '0')"
END_UPGRADE = f"PRAGMA user_version = {VERSIONS[2]}"

TALLIES_OF = "SELECT split, kind, code, rows, size, checksum FROM tallies WHERE source = ?"
SET_TALLY = "INSERT OR REPLACE INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?)"
# As Counted.is_void_anew has it.
DROP_VOID = "DELETE FROM tallies WHERE source = ? AND (kind = 'read' OR (kind = 'taken' AND split = ''))"
PASSED = "SELECT split, copies, ended, tallies FROM passed JOIN ends USING (source, number) WHERE source = ?"
SET_END = "INSERT OR REPLACE INTO ends VALUES (?, ?, ?)"
SET_PASSED = "INSERT OR REPLACE INTO passed VALUES (?, ?, ?, ?, ?)"
DROP_PASSED = "DELETE FROM passed WHERE source = ?"
DROP_ENDS = "DELETE FROM ends WHERE source = ?"
DROP_TALLIES = "DELETE FROM tallies WHERE source = ?"
DROP_SOURCE = "DELETE FROM sources WHERE source = ?"
SOURCE = "SELECT latencies, files, safe_ms FROM sources WHERE source = ?"
# What was to be issued still is.
SET_SOURCE = """
INSERT INTO sources VALUES (?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET
    latencies = excluded.latencies, files = excluded.files, safe_ms = excluded.safe_ms,
    is_shared = min(sources.is_shared, excluded.is_shared)
"""
UNSHARED = "SELECT source FROM sources WHERE is_shared = 0"
SET_SHARED = "UPDATE sources SET is_shared = 1 WHERE source = ?"
ENDED = "SELECT DISTINCT source FROM passed"
SET_UNSHARED = "UPDATE sources SET is_shared = 0 WHERE source = ?"
KNOWS = "SELECT 1 FROM sources WHERE source = ?"

HAS_FILES = "SELECT 1 FROM sqlite_master WHERE name = 'files'"
# Open files, and files to be finished: these by their final paths once they are in place.
PAGE = """
SELECT key, part, path, rows, length, 0 AS in_place FROM files WHERE (key, part) > (:key, :part)
UNION ALL
SELECT key, part, iif(in_place = 1, final, path), rows, length, in_place = 1 FROM finished
WHERE (key, part) > (:key, :part)
ORDER BY 1, 2 LIMIT :count
"""
# What stays as it is: finished files in place whose sums are known; and the files that are never finished.
PAGE_IN_PLACE = """
SELECT key, part, final, size, sha256 FROM finished
WHERE in_place = 1 AND sha256 IS NOT NULL AND (key, part) > (:key, :part) ORDER BY 1, 2 LIMIT :count
"""
PAGE_NEVER_FINISHED = """
SELECT key, part, path, length FROM files
WHERE final = '' AND length > 0 AND (key, part) > (:key, :part) ORDER BY 1, 2 LIMIT :count
"""
COUNT_IN_PLACE = "SELECT count(*) FROM finished WHERE in_place = 1"
NEXT_KEY = """
SELECT min(key) FROM (SELECT min(key) AS key FROM files WHERE key > :after
UNION ALL SELECT min(key) FROM finished WHERE key > :after)
"""
# Of one schema, by key, as they are stored: nothing is sorted. First the key from `at` on.
_ROWS_OF = """
SELECT substr(key, :at), key, sum(rows), count(*) FROM {} WHERE key > :from AND key < :to AND rows > 0 GROUP BY key
"""
ROWS_OF_OPEN = _ROWS_OF.format("files")
ROWS_OF_FINISHED = _ROWS_OF.format("finished")
HAS_TALLIES = "SELECT 1 FROM sqlite_master WHERE name = 'tallies'"
TALLIES = "SELECT split, kind, code, rows FROM tallies"
SUM_ROWS = "SELECT sum(rows) FROM files UNION ALL SELECT sum(rows) FROM finished"

# Every version of SQLite takes 999 parameters.
KEYS_PER_QUERY = 900


def of_keys(statement: str, count: int) -> str:
    """The statement for `count` keys, at most KEYS_PER_QUERY."""
    return statement.format(keys=",".join("?" * count))
