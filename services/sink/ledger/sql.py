"""A ledger's tables, and every statement that uses them."""

# Increase it with every change of the tables.
VERSION = 3
# In one transaction: a ledger that was half created could not be told from one of another version.
SCHEMA = f"""
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
-- -1: not in place, but its packed copy is complete.
CREATE INDEX packed ON finished (in_place) WHERE in_place = -1;
PRAGMA user_version = {VERSION};
COMMIT;
"""
# The first of a category's open files: a crash may leave entries of further ones, without rows.
FIND_FILES = "SELECT *, min(part) FROM files WHERE key IN ({keys}) GROUP BY key"
FIND_PARTS = "SELECT key, max(part) FROM finished WHERE key IN ({keys}) GROUP BY key"
LENGTHS = "SELECT path, length FROM files"
# Those that a crash left without rows.
UNUSED = "SELECT * FROM files WHERE length = 0 LIMIT ?"
LATEST_BEGUN = "SELECT max(began_at) FROM files WHERE began_at IS NOT NULL"
# With the columns of `files`: `in_place` for `open_line`, and no times.
UNFINISHED = "SELECT *, 0, 0 FROM finished WHERE in_place = 0"
PACKED = "SELECT *, 0, 0 FROM finished WHERE in_place = -1"
FIND_DUE = "SELECT * FROM files WHERE began_at <= ? OR changed_at <= ? LIMIT ?"
FACTS = "SELECT name, value FROM partition"
SET_FACT = "INSERT INTO partition VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
SET_FILE = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, part) DO UPDATE SET
    length = excluded.length, rows = excluded.rows, checksum = excluded.checksum, open_line = excluded.open_line,
    changed_at = excluded.changed_at
"""
DROP_FILE = "DELETE FROM files WHERE key = ? AND part = ?"
ADD_FINISHED = "INSERT INTO finished VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
SET_PACKED = "UPDATE finished SET in_place = -1 WHERE key = ? AND part = ?"
SET_IN_PLACE = "UPDATE finished SET in_place = 1 WHERE key = ? AND part = ?"

HAS_FILES = "SELECT 1 FROM sqlite_master WHERE name = 'files'"
# Open files, and files to be finished: these by their final paths once they are in place.
PAGE = """
SELECT key, part, path, rows, length, 0 AS in_place FROM files WHERE (key, part) > (:key, :part)
UNION ALL
SELECT key, part, iif(in_place = 1, final, path), rows, length, in_place = 1 FROM finished
WHERE (key, part) > (:key, :part)
ORDER BY 1, 2 LIMIT :count
"""

# Every version of SQLite takes 999 parameters.
KEYS_PER_QUERY = 900


def of_keys(statement: str, count: int) -> str:
    """The statement for `count` keys, at most KEYS_PER_QUERY."""
    return statement.format(keys=",".join("?" * count))
