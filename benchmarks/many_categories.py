"""`python -m benchmarks.many_categories [COUNT …]`: what many categories cost sink, without Kafka.

One shelf in a temporary folder (TMPDIR says where) gets rows of COUNT categories in turn. That is the worst order: no
file is written to twice before all others are. Each line is one count, by a process of its own:

- rows per append: with more categories fewer rows of a batch go to one file, and an append costs the same;
- an append of a new file, and of one that is there; without the checkpoints, which a service does meanwhile;
- a checkpoint, by the files that changed;
- a start, by the files that are there;
- the most entries in memory, and the most memory beyond that of a process that has only begun.
"""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common.records import Headers, category_key
from common.registry import Registered
from common.schema import Schema
from services.sink.shelf import Shelf

_COUNTS = (10, 1_000, 10_000, 100_000)
_ROWS = 200_000
_ROWS_PER_BATCH = 10_000
_SCHEMA = Schema(b"Sex,Length", ("Sex", "Length"))
_SCHEMA_ID = _SCHEMA.id
_LEDGER = ".nacre/categorized-0.ledger"
_HEADING = (
    "categories  rows/append  new file, us  append, us  checkpoint, us/file  start, us/file  entries  memory, MiB"
)


@dataclass(frozen=True, slots=True)
class Row:
    """What is read of a Kafka record."""

    key: bytes
    value: bytes
    headers: Headers = field(default_factory=list)


class Schemas:
    """Knows one schema."""

    async def find(self, _schema_id: str) -> Registered:
        """The schema."""
        return Registered(1, _SCHEMA)


@dataclass(slots=True)
class Cost:
    """What writing took: seconds and files, of the appends and of the checkpoints."""

    append_s: float = 0.0
    appends: int = 0
    checkpoint_s: float = 0.0
    checkpointed: int = 0
    entries: int = 0


def batches(categories: int, rows: int) -> Iterator[list[Any]]:
    """So many rows, in turn of each category."""
    for begin in range(0, rows, _ROWS_PER_BATCH):
        numbers = range(begin, min(begin + _ROWS_PER_BATCH, rows))
        yield [Row(category_key(_SCHEMA_ID, "Sex", (f"{n % categories}",)), b"%d,0.455" % n) for n in numbers]


async def write(shelf: Shelf, categories: int, rows: int) -> Cost:
    """Write so many rows, with a checkpoint whenever memory is full of changes and in the end."""
    cost = Cost()
    changed: set[bytes] = set()

    async def checkpoint() -> None:
        began = time.perf_counter()
        await shelf.begin_checkpoint(0)
        await shelf.settle()
        cost.checkpoint_s += time.perf_counter() - began
        cost.checkpointed += len(changed)
        changed.clear()

    for batch in batches(categories, rows):
        keys = {row.key for row in batch}
        began = time.perf_counter()
        await shelf.add(batch)
        cost.append_s += time.perf_counter() - began
        cost.appends += len(keys)
        cost.entries = max(cost.entries, shelf.entries_in_memory)
        changed |= keys
        if shelf.full:
            await checkpoint()
    await checkpoint()
    return cost


async def measure(root: Path, categories: int) -> str:
    """Make all files, write to them, begin anew; return the line of the table."""
    root.joinpath(".nacre").mkdir()
    begun_kib = peak_kib()
    shelf = Shelf(root, _LEDGER, Schemas())
    await shelf.open("cluster")
    new = await write(shelf, categories, categories)
    old = await write(shelf, categories, _ROWS)
    shelf.close()
    began = time.perf_counter()
    shelf = Shelf(root, _LEDGER, Schemas())
    await shelf.open("cluster")
    start_s = time.perf_counter() - began
    shelf.close()
    return (
        f"{categories:10,} {_ROWS / old.appends:12.0f} {1e6 * new.append_s / new.appends:13.0f} "
        f"{1e6 * old.append_s / old.appends:11.0f} {1e6 * old.checkpoint_s / old.checkpointed:20.0f} "
        f"{1e6 * start_s / categories:15.0f} {old.entries:8,} {(peak_kib() - begun_kib) / 1024:12.0f}"
    )


def peak_kib() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Measure each count in a process of its own, because the most memory is a process's."""
    match sys.argv[1:]:
        case ["--one", count]:
            with TemporaryDirectory() as root:
                sys.stdout.write(asyncio.run(measure(Path(root), int(count))) + "\n")
        case counts:
            sys.stdout.write(_HEADING + "\n")
            sys.stdout.flush()
            for count in map(str, counts or _COUNTS):
                command = [sys.executable, "-m", "benchmarks.many_categories", "--one", count]
                subprocess.run(command, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
