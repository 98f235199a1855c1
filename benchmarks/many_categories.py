"""`python -m benchmarks.many_categories [COUNT …]`: what many categories cost sink, without Kafka.

The files of six partitions, as many as a pipeline has by default, in a temporary folder (TMPDIR says where), get rows
of COUNT categories in turn. The table is also written to benchmarks/results/categories.json. Each line is one
count, by a process of its own:

- a new file;
- a row, where each batch has 100 rows of one category, and the next batch the next: the same work for every count, but
  for what is no longer in memory;
- an append, where each batch has 10,000 rows of as many categories as there are. That is the worst order: no file is
  written to twice before all others are;
- a checkpoint, by the files that changed;
- a start, by the files that are there;
- the most entries in memory, and the most memory beyond that of a process that has only begun.
"""

import asyncio
import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from benchmarks.kept import keep
from common.batches.record_runs import RecordRun
from common.pipeline.schema_numbers import Registered
from common.protocol.category_keys import file_key
from common.protocol.output_folder import HIDDEN, ledger_path
from common.protocol.partitioner import partition_for
from common.rows.schema import Schema
from services.sink.ledger.origin import Origin
from services.sink.partition_files import PartitionFiles

_COUNTS = (10, 100, 1_000, 10_000, 100_000)
_WORST_ROWS = 200_000
_WORST_ROWS_PER_BATCH = 10_000
_ROWS_PER_CATEGORY = 100
_LEAST_BATCHES = 1_000
_SCHEMA = Schema(b"Sex,Length", ("Sex", "Length"))
_SCHEMA_ID = _SCHEMA.id
_PARTITIONS = 6


class Schemas:
    """Knows one schema."""

    async def find(self, _schema_id: str) -> Registered:
        """The schema."""
        return Registered(1, _SCHEMA)


@dataclass(slots=True)
class Cost:
    """What writing took: seconds and files, of the appends and of the checkpoints."""

    rows: int = 0
    append_s: float = 0.0
    appends: int = 0
    checkpoint_s: float = 0.0
    checkpointed: int = 0
    entries: int = 0


def keys_of(categories: int) -> list[list[bytes]]:
    """The keys of so many categories, those of each partition that has any."""
    keys: list[list[bytes]] = [[] for _ in range(_PARTITIONS)]
    for number in range(categories):
        key = file_key(_SCHEMA_ID, "Sex", (f"{number}",))
        keys[partition_for(key, _PARTITIONS)].append(key)
    return [some for some in keys if some]


def worst(keys: Sequence[bytes], rows: int) -> Iterator[list[RecordRun]]:
    """So many rows, in turn of each category."""
    for begin in range(0, rows, _WORST_ROWS_PER_BATCH):
        numbers = range(begin, min(begin + _WORST_ROWS_PER_BATCH, rows))
        yield [RecordRun(n, keys[n % len(keys)], [b"%d,0.455" % n]) for n in numbers]


def in_groups(keys: Sequence[bytes]) -> Iterator[list[RecordRun]]:
    """Batches that are all alike, of one category each, until each category had its turn."""
    for number in range(max(_LEAST_BATCHES // _PARTITIONS, len(keys))):
        values = [b"%d,0.455" % n for n in range(_ROWS_PER_CATEGORY)]
        yield [RecordRun(0, keys[number % len(keys)], values)]


async def write(cost: Cost, files: PartitionFiles, batches: Iterable[list[RecordRun]]) -> None:
    """Write these batches, with a checkpoint whenever memory is full of changes and in the end."""
    entries = 0
    changed: set[bytes] = set()

    async def checkpoint() -> None:
        began = time.perf_counter()
        await files.begin_checkpoint(0)
        await files.settle()
        cost.checkpoint_s += time.perf_counter() - began
        cost.checkpointed += len(changed)
        changed.clear()

    for batch in batches:
        keys = {run.key or b"" for run in batch}
        began = time.perf_counter()
        await files.add(batch)
        cost.append_s += time.perf_counter() - began
        cost.appends += len(keys)
        cost.rows += sum(len(stretch.rows) for stretch in batch)
        entries = max(entries, files.entries_in_memory)
        changed |= keys
        if files.full:
            await checkpoint()
    await checkpoint()
    cost.entries += entries


@dataclass(frozen=True, slots=True)
class Line:
    """What one count costs, in microseconds but for what is counted."""

    categories: int
    new_file: float
    row: float
    append: float
    checkpoint_file: float
    start_file: float
    entries: int
    memory_mib: float


_HEADING = "categories  new file, us  row, us  append, us  checkpoint, us/file  start, us/file  entries  memory, MiB"


def shown(line: Line) -> str:
    """A line of the table."""
    return (
        f"{line.categories:10,} {line.new_file:13.0f} {line.row:8.2f} {line.append:11.0f} {line.checkpoint_file:20.0f} "
        f"{line.start_file:15.0f} {line.entries:8,} {line.memory_mib:12.0f}"
    )


async def open_all(root: Path, count: int) -> list[PartitionFiles]:
    """The files of so many partitions."""
    all_files = [PartitionFiles(root, ledger_path("categorized", number), Schemas()) for number in range(count)]
    for files in all_files:
        await files.open(Origin("cluster"))
    return all_files


async def measure(root: Path, categories: int) -> Line:
    """Make all files, write to them in both orders, start again."""
    root.joinpath(HIDDEN).mkdir()
    keys = keys_of(categories)
    begun_kib = peak_kib()
    all_files = await open_all(root, len(keys))
    new, grouped, old = Cost(), Cost(), Cost()
    for files, some in zip(all_files, keys, strict=True):
        await write(new, files, worst(some, len(some)))
    for files, some in zip(all_files, keys, strict=True):
        await write(grouped, files, in_groups(some))
    for files, some in zip(all_files, keys, strict=True):
        await write(old, files, worst(some, _WORST_ROWS // len(keys)))
    for files in all_files:
        files.close()
    began = time.perf_counter()
    all_files = await open_all(root, len(keys))
    start_s = time.perf_counter() - began
    for files in all_files:
        files.close()
    return Line(
        categories,
        1e6 * new.append_s / new.appends,
        1e6 * grouped.append_s / grouped.rows,
        1e6 * old.append_s / old.appends,
        1e6 * old.checkpoint_s / old.checkpointed,
        1e6 * start_s / categories,
        max(grouped.entries, old.entries),
        (peak_kib() - begun_kib) / 1024,
    )


def peak_kib() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Measure each count in a process of its own, because the most memory is a process's."""
    match sys.argv[1:]:
        case ["--one", count]:
            # The output is the line alone; what sink logs for debugging would be in it, and costs time.
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
            with TemporaryDirectory() as root:
                sys.stdout.write(json.dumps(asdict(asyncio.run(measure(Path(root), int(count))))))
        case counts:
            sys.stdout.write(_HEADING + "\n")
            lines: list[dict[str, Any]] = []
            for count in map(str, counts or _COUNTS):
                command = [sys.executable, "-m", "benchmarks.many_categories", "--one", count]
                lines.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
                sys.stdout.write(shown(Line(**lines[-1])) + "\n")
                sys.stdout.flush()
            keep("categories", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
