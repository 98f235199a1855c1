"""What is known of a partition's files, and how much of that is kept in memory.

An entry changes with each batch of rows. A checkpoint takes what has changed, makes the files safe and enters them in
the ledger; from then on, and not before, the ledger has the entry as well and memory may lose it.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

# The key of the file of rejected rows, which no category has: those are JSON.
REJECTED_KEY = b"rejected"

# Per partition, by `size_of`. A checkpoint is due when so much has changed since the last one began, and so much may be
# on its way into the ledger at the same time.
MAX_CHANGED_BYTES = 16 * 2**20
# What the ledger has as well: it saves a look-up.
MAX_KEPT_BYTES = 16 * 2**20
# Of an entry without its texts, as a Python object in a dictionary. Measured: 320, and 450 where files are finished.
_OBJECT_BYTES = 450


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


@dataclass(frozen=True, slots=True)
class Changes:
    """What a checkpoint makes safe: the open files that have changed, and those that are to be finished."""

    open: Sequence[Entry]
    finished: Sequence[Entry] = ()

    @property
    def paths(self) -> list[str]:
        """Where they all are."""
        return [entry.path for entry in (*self.open, *self.finished)]


def size_of(entry: Entry) -> int:
    """About how many bytes of memory an entry takes."""
    return _OBJECT_BYTES + len(entry.key) + len(entry.path) + len(entry.final)


class Entries:
    """The entries of one partition that are in memory. What is not found here is in the ledger, or new."""

    def __init__(self) -> None:
        self._changed: dict[bytes, Entry] = {}
        self._changed_bytes = 0
        self._finished: list[Entry] = []
        self._under_way: dict[bytes, Entry] = {}
        # In the order in which they came here. That is by their last use: whatever is used changes, and leaves.
        self._kept: OrderedDict[bytes, Entry] = OrderedDict()
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self._changed) + len(self._under_way) + len(self._kept)

    @property
    def dirty(self) -> bool:
        """Whether anything has changed since the last checkpoint began."""
        return bool(self._changed)

    @property
    def full(self) -> bool:
        """Whether so much has changed that a checkpoint is due."""
        return self._changed_bytes >= MAX_CHANGED_BYTES

    def find(self, key: bytes) -> Entry | None:
        """The entry as it is now; None when memory does not have it."""
        return self._changed.get(key) or self._under_way.get(key) or self._kept.get(key)

    def change(self, entry: Entry) -> None:
        """Take the new state of a file."""
        if entry.key not in self._changed:
            self._changed_bytes += size_of(entry)
            if entry.key in self._kept:
                self._kept_bytes -= size_of(self._kept.pop(entry.key))
        self._changed[entry.key] = entry

    def finish(self, entry: Entry) -> None:
        """Take the last state of a file that is to be finished: the category's next rows go into another."""
        self._changed_bytes += size_of(entry)
        self._finished.append(entry)
        self.change(Entry(entry.key, "", part=entry.part + 1))

    def begin_checkpoint(self) -> "Changes":
        """What has changed since this was last called, to be made safe. The checkpoint before has to be over."""
        self._under_way, self._changed, self._changed_bytes = self._changed, {}, 0
        finished, self._finished = self._finished, []
        return Changes([entry for entry in self._under_way.values() if entry.path], finished)

    def end_checkpoint(self) -> None:
        """The ledger has what the checkpoint took."""
        for key, entry in self._under_way.items():
            # What has changed again meanwhile, the ledger has not.
            if key not in self._changed:
                self._kept[key] = entry
                self._kept_bytes += size_of(entry)
        self._under_way = {}
        while self._kept_bytes > MAX_KEPT_BYTES:
            self._kept_bytes -= size_of(self._kept.popitem(last=False)[1])
