"""Copying one ledger's files, tallies and ends into the tables that verify asks."""

import sqlite3

from common.protocol.category_keys import parse_file_key
from ops.verify.entries import REJECTED_KEY, file_from_row

TABLES = """
CREATE TABLE files (
    ledger, key BLOB, part, path, final, length, rows, checksum, state, split, schema, PRIMARY KEY (key, part, ledger)
) WITHOUT ROWID;
CREATE TABLE names (path PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE tallies (source, ledger, split, kind, code, rows, size, checksum);
CREATE INDEX tallies_of ON tallies (source);
CREATE TABLE passed (source, ledger, split, number, copies, ended, tallies);
CREATE INDEX passed_of ON passed (source);
CREATE TABLE sources (source, ledger, safe_ms, latencies, PRIMARY KEY (source, ledger)) WITHOUT ROWID;
"""
# `state` as in FileState.
FILES = """
SELECT key, part, path, final, length, rows, checksum, 2 FROM files
UNION ALL SELECT key, part, path, final, length, rows, checksum, in_place FROM finished
"""
_PASSED = """
SELECT p.source, p.split, p.number, p.copies, e.ended, p.tallies
FROM passed p JOIN ends e ON e.source = p.source AND e.number = p.number
"""


def copy_files(ledger: int, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy a ledger's files, and note all names that they may have."""
    for row in source.execute(FILES):
        schema, split, _ = (None, None, None) if row[0] == REJECTED_KEY else parse_file_key(row[0])
        target.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (ledger, *row, split, schema))
        names = file_from_row(ledger, row).all_names
        target.executemany("INSERT OR IGNORE INTO names VALUES (?)", ((name,) for name in names))


def copy_tallies(ledger: int, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy what a ledger of format 2 has of each source."""
    tallies = source.execute("SELECT source, split, kind, code, rows, size, checksum FROM tallies")
    rows = ((row[0], ledger, *row[1:]) for row in tallies)
    target.executemany("INSERT INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    rows = ((row[0], ledger, *row[1:]) for row in source.execute(_PASSED))
    target.executemany("INSERT INTO passed VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    rows = ((row[0], ledger, *row[1:]) for row in source.execute("SELECT source, safe_ms, latencies FROM sources"))
    target.executemany("INSERT INTO sources VALUES (?, ?, ?, ?)", rows)
