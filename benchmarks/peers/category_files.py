"""Category files of a peer's sink, exactly once: what a checkpoint does not know of is cut off at the next start."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_CHECKPOINT = ".checkpoint.json"


class CategoryFiles:
    """Files that are appended to; `checkpoint` makes them safe, and notes the offsets that they were written up to."""

    def __init__(self, folder: Path, header: bytes) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._header = header
        self._files: dict[bytes, BinaryIO] = {}
        path = folder / _CHECKPOINT
        known = json.loads(path.read_bytes()) if path.exists() else {"offsets": {}, "lengths": {}}
        self.offsets = {int(partition): int(offset) for partition, offset in known["offsets"].items()}
        # Also of files that only an earlier process wrote to.
        self._lengths: dict[str, int] = known["lengths"]
        for name, length in self._lengths.items():
            os.truncate(folder / name, length)

    def append(self, piles: Mapping[bytes, Sequence[bytes]]) -> None:
        """Write these rows, by category; each has its line ending."""
        for category, rows in piles.items():
            file = self._files.get(category)
            if file is None:
                file = self._files[category] = self._opened(f"{category.decode()}.csv")
            file.write(b"".join(rows))
            file.flush()

    def checkpoint(self, offsets: Mapping[int, int]) -> None:
        """Make what is written safe, and note it: `offsets` are the next ones, by partition."""
        for file in self._files.values():
            os.fsync(file.fileno())
        self._lengths |= {Path(file.name).name: file.tell() for file in self._files.values()}
        new = self._folder / f"{_CHECKPOINT}.new"
        with new.open("wb") as written:
            written.write(json.dumps({"offsets": offsets, "lengths": self._lengths}).encode())
            written.flush()
            os.fsync(written.fileno())
        new.rename(self._folder / _CHECKPOINT)

    def _opened(self, name: str) -> BinaryIO:
        if name in self._lengths:
            return (self._folder / name).open("ab")
        # Whatever it has was written after the last checkpoint.
        file = (self._folder / name).open("wb")
        file.write(self._header)
        return file
