"""The states of a partition's categories, and how much of them is kept in memory.

Each batch of rows changes states. A checkpoint takes the changed ones, makes their files durable and enters them in the
ledger. Only after that does the ledger have them as well, and memory may drop them.
"""

from collections import OrderedDict

from msgspec import Struct

from services.sink.ledger.entries import Changes, Entry
from services.sink.rendering import Layout

# What a state takes in a dictionary, besides its texts: 390 bytes were measured, and 490 where files are finished.
_OBJECT_BYTES = 500


class CategoryState(Struct, frozen=True):
    """A category's open file, as the next checkpoint enters it in the ledger, and its layout.

    `layout` is None until this process looks it up for a row: a timer may finish a file that an earlier process wrote.
    """

    entry: Entry
    layout: Layout | None


class MemoryLimits(Struct, frozen=True):
    """Bytes of memory per partition, as `estimate_bytes` counts them.

    A checkpoint is due once the states that changed since the last one began take `changed` bytes; the states that a
    checkpoint under way has taken may be as many again. `kept` limits the states that the ledger has as well, which
    only save look-ups.
    """

    changed: int = 16 * 2**20
    kept: int = 16 * 2**20


def estimate_bytes(entry: Entry) -> int:
    """Estimate the bytes of memory that an entry takes."""
    return _OBJECT_BYTES + len(entry.key) + len(entry.path) + len(entry.final)


class Memory:
    """The states of a partition's categories that are in memory. All others are in the ledger, or new."""

    def __init__(self, limits: MemoryLimits) -> None:
        self._limits = limits
        self._changed: dict[bytes, CategoryState] = {}
        self._changed_bytes = 0
        self._finished: list[Entry] = []
        self._under_way: dict[bytes, CategoryState] = {}
        # The least recently used first: a state that is used changes, so it leaves and comes back at the end.
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
        """Whether the changes take so much memory that a checkpoint is due."""
        return self._changed_bytes >= self._limits.changed

    def find(self, key: bytes) -> CategoryState | None:
        """The current state, None if it is not in memory."""
        return self._changed.get(key) or self._under_way.get(key) or self._kept.get(key)

    def change(self, state: CategoryState) -> None:
        """Store a category's new state."""
        key = state.entry.key
        if key not in self._changed:
            self._changed_bytes += estimate_bytes(state.entry)
            if key in self._kept:
                self._kept_bytes -= estimate_bytes(self._kept.pop(key).entry)
        self._changed[key] = state

    def finish(self, state: CategoryState) -> None:
        """Store the last state of a file that is to be finished; the category's next rows go into another file."""
        self._changed_bytes += estimate_bytes(state.entry)
        self._finished.append(state.entry)
        self.change(CategoryState(state.entry.next_part, state.layout))

    def begin_checkpoint(self) -> Changes:
        """Take what has changed since the last call, to be made durable. The checkpoint before must have ended."""
        self._under_way, self._changed, self._changed_bytes = self._changed, {}, 0
        finished, self._finished = self._finished, []
        return Changes([state.entry for state in self._under_way.values() if state.entry.path], finished)

    def end_checkpoint(self) -> None:
        """Keep what the checkpoint took, as far as there is room: the ledger has it now."""
        for key, state in self._under_way.items():
            # A state that changed again meanwhile has a newer one in `_changed`.
            if key not in self._changed:
                self._kept[key] = state
                self._kept_bytes += estimate_bytes(state.entry)
        self._under_way = {}
        while self._kept_bytes > self._limits.kept:
            self._kept_bytes -= estimate_bytes(self._kept.popitem(last=False)[1].entry)
