"""What is known of a partition's categories, and how much of that is kept in memory.

A state changes with each batch of rows. A checkpoint takes what has changed, makes the files safe and enters them in
the ledger; from then on, and not before, the ledger has the entry as well and memory may lose it.
"""

from collections import OrderedDict
from dataclasses import dataclass

from services.sink.ledger.entries import Changes, Entry
from services.sink.rendering import Layout

# Of a state without its texts, as Python objects in a dictionary. Measured: 390, and 490 where files are finished.
_OBJECT_BYTES = 500


@dataclass(frozen=True, slots=True)
class CategoryState:
    """A category's open file, as the ledger will have it, and how it is written.

    `layout` is None until a row comes: a file that a timer finishes may be one that a former process wrote.
    """

    entry: Entry
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Bytes per partition, by `size_of`.

    A checkpoint is due when `changed` have changed since the last one began, and as many may be on their way into the
    ledger at the same time. `kept` is what the ledger has as well: it saves a look-up.
    """

    changed: int = 16 * 2**20
    kept: int = 16 * 2**20


def size_of(entry: Entry) -> int:
    """About how many bytes of memory an entry takes."""
    return _OBJECT_BYTES + len(entry.key) + len(entry.path) + len(entry.final)


class Memory:
    """The states of one partition's categories that are in memory. What is not found here is in the ledger, or new."""

    def __init__(self, limits: MemoryLimits) -> None:
        self._limits = limits
        self._changed: dict[bytes, CategoryState] = {}
        self._changed_bytes = 0
        self._finished: list[Entry] = []
        self._under_way: dict[bytes, CategoryState] = {}
        # In the order in which they came here. That is by their last use: whatever is used changes, and leaves.
        self._kept: OrderedDict[bytes, CategoryState] = OrderedDict()
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
        return self._changed_bytes >= self._limits.changed

    def find(self, key: bytes) -> CategoryState | None:
        """The state as it is now; None when memory does not have it."""
        return self._changed.get(key) or self._under_way.get(key) or self._kept.get(key)

    def change(self, state: CategoryState) -> None:
        """Take a category's new state."""
        key = state.entry.key
        if key not in self._changed:
            self._changed_bytes += size_of(state.entry)
            if key in self._kept:
                self._kept_bytes -= size_of(self._kept.pop(key).entry)
        self._changed[key] = state

    def finish(self, state: CategoryState) -> None:
        """Take the last state of a file that is to be finished: the category's next rows go into another."""
        self._changed_bytes += size_of(state.entry)
        self._finished.append(state.entry)
        self.change(CategoryState(state.entry.next_part, state.layout))

    def begin_checkpoint(self) -> Changes:
        """What has changed since this was last called, to be made safe. The checkpoint before has to be over."""
        self._under_way, self._changed, self._changed_bytes = self._changed, {}, 0
        finished, self._finished = self._finished, []
        return Changes([state.entry for state in self._under_way.values() if state.entry.path], finished)

    def end_checkpoint(self) -> None:
        """The ledger has what the checkpoint took."""
        for key, state in self._under_way.items():
            # What has changed again meanwhile, the ledger has not.
            if key not in self._changed:
                self._kept[key] = state
                self._kept_bytes += size_of(state.entry)
        self._under_way = {}
        while self._kept_bytes > self._limits.kept:
            self._kept_bytes -= size_of(self._kept.popitem(last=False)[1].entry)
