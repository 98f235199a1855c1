"""The files that benchmarks let ingest read."""

import itertools
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

from benchmarks.contenders import ABALONE
from common.protocol.partitioner import partition_for

PARTITIONS = 6
# Each partition of `categorized` gets about as many.
CATEGORIES = 240
FILES = 24
_HEADER = b"Category,Number\n"
_ROW = b"%03d,%042d\n"
_ROWS_PER_WRITE = 100_000
# A file repeats as many, of each category the same number.
_BLOCK_ROWS = 100 * CATEGORIES


def write_rows(path: Path, rows: int) -> int:
    """Write this many abalone rows, a few at a time; return the bytes of their category files, each with a header."""
    header, *lines = ABALONE.read_bytes().splitlines(keepends=True)
    endless = cycle(lines)
    with path.open("wb") as file:
        file.write(header)
        for begin in range(0, rows, _ROWS_PER_WRITE):
            file.writelines(islice(endless, min(_ROWS_PER_WRITE, rows - begin)))
    return path.stat().st_size + 2 * len(header)


def write_files(folder: Path, rows: int, home: Path | None = None) -> int:
    """Write this many rows of all categories to files, the same number for each partition; return as `write_rows` does.

    Their partitions are those of the same names in `home`, for files that are put there later.
    """
    shares = [len(range(index, rows, FILES)) for index in range(FILES)]
    for index, (name, share) in enumerate(zip(_names_in(home or folder), shares, strict=True)):
        # No two files are alike.
        numbers = range(index * _BLOCK_ROWS, (index + 1) * _BLOCK_ROWS)
        block = [_ROW % (number % CATEGORIES, number) for number in numbers]
        with folder.joinpath(name).open("wb") as file:
            file.write(_HEADER)
            file.writelines(islice(cycle(block), share))
    categories = min(CATEGORIES, shares[0])
    return sum(shares) * len(_ROW % (0, 0)) + categories * len(_HEADER)


def _names_in(home: Path) -> list[str]:
    """Names of files, of which each partition gets as many if they are in this folder."""
    left = Counter(dict.fromkeys(range(PARTITIONS), FILES // PARTITIONS))
    names: list[str] = []
    for number in itertools.count():
        name = f"{number}.csv"
        partition = partition_for(str(home / name).encode(), PARTITIONS)
        if left[partition]:
            left[partition] -= 1
            names.append(name)
        if len(names) == FILES:
            break
    return names
