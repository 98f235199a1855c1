"""What a ledger knows of each file, and what a checkpoint enters there."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

# The key of the file of rejected rows, which no category has: those are JSON.
REJECTED_KEY = b"rejected"


@dataclass(frozen=True, slots=True)
class Entry:
    """A category's open file as far as it is written: `length` in bytes, the rows in it, the CRC-32 of its bytes.

    `path` is relative to OUTPUT_DIR; "" says that none is open. A file that will be finished is the category's `part`
    (from 1), and `final` is its path then; seconds since 1970 say when it was begun and last added to. `open_line` is
    what its last line lacks, an OpenLine.
    """

    key: bytes
    path: str
    length: int = 0
    rows: int = 0
    checksum: int = 0
    open_line: int = 0
    part: int = 0
    final: str = ""
    began_at: float = 0.0
    changed_at: float = 0.0

    def grown(self, data: bytes, rows: int, open_line: int, at: float) -> "Entry":
        """The entry once these bytes, which hold so many rows, are appended to its file."""
        # Not `replace`, which takes twice as long: this is done for each file of a batch.
        return Entry(
            self.key,
            self.path,
            self.length + len(data),
            self.rows + rows,
            crc32(data, self.checksum),
            open_line,
            self.part,
            self.final,
            self.began_at,
            at,
        )

    @property
    def next_part(self) -> "Entry":
        """The category's next file, which is not begun yet."""
        return Entry(self.key, "", part=self.part + 1)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a checkpoint makes safe: the open files that have changed, and those that are to be finished."""

    open: Sequence[Entry]
    finished: Sequence[Entry] = ()

    @property
    def paths(self) -> list[str]:
        """Where they all are."""
        return [entry.path for entry in (*self.open, *self.finished)]
