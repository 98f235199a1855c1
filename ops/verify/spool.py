"""What has to be in each file, by the sources: on disk in a temporary file, so that memory does not grow with it.

A row takes 33 bytes for each split. They are kept in blocks: of one category and one *stream*, which is the rows of one
source in their order, or in rejected.csv those of one source and split.
"""

import sqlite3
import struct
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain

from common.protocol.messages import HALF_CRLF
from ops.verify.rows.long_lines import DIGEST_BYTES
from ops.verify.rows.merging import ExpectedRow

_LAYOUT = struct.Struct(">16sBQQ")
# Blocks of so many bytes at most, which are held in memory up to so many in all.
_MOST_BLOCK_BYTES = 120 * _LAYOUT.size
_MOST_HELD_BYTES = 16 * 2**20
# What an empty block takes.
_OVERHEAD_BYTES = 200
_ENDINGS = (b"", b"\n", b"\r\n", b"\r", HALF_CRLF)
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE blocks (key BLOB NOT NULL, stream INTEGER NOT NULL, records BLOB NOT NULL);
"""


def row_digest(text: bytes) -> bytes:
    """The digest by which rows are compared."""
    return blake2b(text, digest_size=DIGEST_BYTES).digest()


def rejection_digest(source: bytes, line: bytes, offset: bytes, split: bytes, code: bytes, raw: bytes) -> bytes:
    """The digest by which rejections are compared: it covers everything but the words of their reasons."""
    fields = source, line, offset, split, code, raw
    return row_digest(b"".join(b"%d:%b" % (len(each), each) for each in fields))


class Spool:
    """The rows of all streams, by the key of their file. All are added before any is read."""

    def __init__(self) -> None:
        # A temporary file, which SQLite removes as soon as it is open.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(_TABLES)
        # Blocks that are full, and those that are not.
        self._full: list[tuple[bytes, int, bytes]] = []
        self._held: dict[tuple[bytes, int], bytearray] = {}
        self._held_bytes = 0

    def close(self) -> None:
        """Drop all."""
        self._db.close()

    def add(self, key: bytes, stream: int, row: ExpectedRow) -> None:
        """Add the next row of a stream."""
        place = key, stream
        block = self._held.get(place)
        if block is None:
            block = self._held[place] = bytearray()
            self._held_bytes += len(key) + _OVERHEAD_BYTES
        block += _LAYOUT.pack(row.digest, _ENDINGS.index(row.eol), row.line, row.offset)
        self._held_bytes += _LAYOUT.size
        if len(block) >= _MOST_BLOCK_BYTES:
            self._full.append((key, stream, bytes(self._held.pop(place))))
        if self._held_bytes >= _MOST_HELD_BYTES:
            self._write()

    def _write(self) -> None:
        held = ((key, stream, bytes(block)) for (key, stream), block in self._held.items())
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO blocks VALUES (?, ?, ?)", chain(self._full, held))
        self._db.execute("COMMIT")
        self._full, self._held, self._held_bytes = [], {}, 0

    def complete(self) -> None:
        """Prepare for reading: every row is added."""
        self._write()
        self._db.execute("CREATE INDEX of_file ON blocks (key, stream)")

    def keys(self) -> Iterator[bytes]:
        """The keys of the files that have to have rows, sorted."""
        key: bytes | None = b""
        while key is not None:
            [(key,)] = self._db.execute("SELECT min(key) FROM blocks WHERE key > ?", (key,))
            if key is not None:
                yield key

    def count(self, key: bytes) -> int:
        """How many rows a file has to have."""
        [(size,)] = self._db.execute("SELECT sum(length(records)) FROM blocks WHERE key = ?", (key,))
        return int(size or 0) // _LAYOUT.size

    def streams(self, key: bytes) -> dict[int, Iterator[ExpectedRow]]:
        """The streams of a file, each with its rows in their order."""
        found = self._db.execute("SELECT DISTINCT stream FROM blocks WHERE key = ?", (key,)).fetchall()
        return {stream: self._rows(key, stream) for (stream,) in found}

    def _rows(self, key: bytes, stream: int) -> Iterator[ExpectedRow]:
        # One block at a time: a file may have very many streams.
        after = -1
        query = "SELECT rowid, records FROM blocks WHERE key = ? AND stream = ? AND rowid > ? ORDER BY rowid LIMIT 1"
        while (found := self._db.execute(query, (key, stream, after)).fetchone()) is not None:
            after, records = found
            for row, ending, line, offset in _LAYOUT.iter_unpack(records):
                yield ExpectedRow(row, _ENDINGS[ending], line, offset)
