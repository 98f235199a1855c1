"""A file as its ledger has it, and where it may be."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

REJECTED_KEY = b"rejected"


class FileState(IntEnum):
    """How a file stands, by its ledger."""

    # To be finished, with a packed copy that is complete.
    PACKED = -1
    # To be finished.
    ENDED = 0
    # It has its final name.
    IN_PLACE = 1
    OPEN = 2


class File(NamedTuple):
    """A file as its ledger has it; length and CRC-32 are of what it holds, unpacked."""

    ledger: int
    key: bytes
    part: int
    path: str
    final: str
    length: int
    rows: int
    checksum: int
    state: FileState

    @property
    def is_rejected(self) -> bool:
        """Whether it is that of rejected rows."""
        return self.key == REJECTED_KEY

    @property
    def name(self) -> str:
        """The name that findings use: its own if it is open, else its final one."""
        return self.path if self.state is FileState.OPEN else self.final

    @property
    def paths(self) -> Sequence[str]:
        """Where it may be."""
        if self.state is FileState.OPEN:
            return (self.path,)
        return (self.final,) if self.state is FileState.IN_PLACE else (self.path, self.final)

    @property
    def all_names(self) -> Sequence[str]:
        """All names that sink may have given it, and to a packed copy of it."""
        names = (*self.paths, self.final) if self.final else self.paths
        return names if self.state in (FileState.OPEN, FileState.IN_PLACE) else (*names, f"{self.final}.tmp")


def file_from_row(ledger: int, row: Sequence[Any]) -> File:
    """The file in this row of a ledger."""
    key, part, path, final, length, rows, checksum, state = row
    return File(ledger, key, part, path, final, length, rows, checksum, FileState(state))
