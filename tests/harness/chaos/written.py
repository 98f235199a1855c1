"""What an output folder holds while it is written, including finished and compressed files."""

import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from tests.harness.chaos.rows import HEADER
from tests.harness.chaos.verifier import files_in, whole
from tests.harness.parts import part_of

_REJECTED = "rejected.csv"
_UNDER_WAY = ".tmp"

# A file's size, time and inode, and a hash of its content.
State = tuple[int, int, int, str]


class Written:
    """Counts bytes as if no file had been finished: uncompressed, and with one header for all parts."""

    def __init__(self, output: Path) -> None:
        self._output = output
        # Sizes of compressed files, which no longer change.
        self._unpacked: dict[str, int] = {}

    def all_rows(self) -> int:
        """The bytes in the file of all rows."""
        return self._size(str(path.relative_to(self._output)) for path in self._output.glob("all*.csv*"))

    def everything(self) -> int:
        """The bytes in all category files."""
        return self._size(path for path in files_in(self._output) if path != _REJECTED)

    def _size(self, paths: Iterable[str]) -> int:
        # By part: for a moment a file and its compressed copy exist side by side.
        sizes: dict[tuple[str, int], int] = {}
        for path in paths:
            if not path.endswith(_UNDER_WAY):
                name, number = whole(path)
                header = len(HEADER) if number > 1 else 0
                sizes[name, number] = max(sizes.get((name, number), 0), self._unpacked_size(path) - header)
        return sum(sizes.values())

    def _unpacked_size(self, path: str) -> int:
        if path in self._unpacked:
            return self._unpacked[path]
        try:
            if not path.endswith(".gz"):
                return (self._output / path).stat().st_size
            self._unpacked[path] = _size_at_end(self._output / path)
        except FileNotFoundError:
            # The file has just been renamed, and is counted under its last name soon.
            return 0
        return self._unpacked[path]


def _size_at_end(path: Path) -> int:
    """The size of a gzip file's content."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        [size] = struct.unpack("<I", file.read())
    return int(size)


class Finished:
    """The finished files, as each was when it was first seen."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self.seen: dict[str, State] = {}

    def look(self) -> bool:
        """Look which files there are; return whether some are new."""
        new = [path for path in _finished_in(self._output) if path not in self.seen]
        for path in new:
            self.seen[path] = _state(self._output / path)
        return bool(new)

    def changes(self) -> list[str]:
        """The files that have changed since; none if all is well."""
        there = set(_finished_in(self._output))
        return [
            f"{path} was finished, and is {'another' if path in there else 'gone'}"
            for path, state in self.seen.items()
            if path not in there or _state(self._output / path) != state
        ]


def _finished_in(output: Path) -> Iterator[str]:
    for path in files_in(output):
        if part_of(path) is not None and not path.endswith(".open"):
            yield path


def _state(path: Path) -> State:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino, blake2b(path.read_bytes()).hexdigest()
