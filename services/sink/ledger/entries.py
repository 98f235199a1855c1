"""What a ledger has of each file, and what a checkpoint enters in it."""

from collections.abc import Sequence
from zlib import crc32

from msgspec import Struct

from common.protocol.category_keys import parse_file_key
from common.protocol.shares import EVERY_SPLIT

# The key of the file of rejected rows. No category has it: their keys are JSON.
REJECTED_KEY = b"rejected"


def split_of(key: bytes) -> str:
    """The split of a file's key."""
    return EVERY_SPLIT if key == REJECTED_KEY else parse_file_key(key)[1]


class Entry(Struct, frozen=True):
    """A category's open file: its `length` in bytes, the number of its rows, the CRC-32 of its bytes.

    `path` is relative to OUTPUT_DIR, "" if no file is open. A file that will be finished is the category's `part`,
    counted from 1, and gets the path `final`; `began_at` and `changed_at` are seconds since 1970. `open_line` is what
    its last line lacks, an OpenLine.
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
        """The entry once these bytes, which hold `rows` rows, are appended to its file at the time `at`."""
        # `replace` takes twice as long, and this runs for each file of a batch.
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


class Sums(Struct, frozen=True):
    """The size of a finished file in bytes, packed or not, and the SHA-256 of these bytes in hex."""

    size: int
    sha256: str


class Changes(Struct, frozen=True):
    """What a checkpoint makes durable: the open files that changed, and those that are to be finished."""

    open: Sequence[Entry]
    finished: Sequence[Entry] = ()

    @property
    def paths(self) -> list[str]:
        """The paths of all of them."""
        return [entry.path for entry in (*self.open, *self.finished)]
