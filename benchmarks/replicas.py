"""`python -m benchmarks.replicas [--rows N] [--only STAGE ...]`: what more replicas of a service give.

Each replica is a container of the service's image, held to a part of a core by a quota, so that two cores are enough
for the broker and all of them. A stage's input is there, in files or in Kafka, before its replicas start, all at once;
they end when all is done. Rows are spread evenly over the partitions, of which `ideal` says how much the replica with
the most of them has. A figure is of the time that many rows take more than a few do, in the median of the rounds.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import STAGES
from benchmarks.processes import Service
from benchmarks.throughput import remove_topics
from common.protocol.category_keys import row_key
from common.protocol.partitioner import partition_for
from ops.kafka.local import LocalKafka
from services.ingest.files.finding import source_key

_PROJECT = Path(__file__).parents[1]
_REPLICAS = (1, 2, 4)
_PARTITIONS = (6, 12)
_FEW_ROWS = 10_000
_PER_PARTITION = 4
_ROW = "{},0.455,0.365,0.095,0.514\n"


@dataclass(frozen=True, slots=True)
class Load:
    """So many rows in a folder of files, and over how many partitions they are spread."""

    rows: int
    folder: Path
    partitions: int


def make_load(folder: Path, rows: int, partitions: int) -> Load:
    """Write as many files for each partition of `rows`, with as many categories for each of `categorized`."""
    folder.mkdir(parents=True)
    paths = spread(lambda number: f"{folder}/{number}.csv", source_key, partitions)
    names = spread(str, lambda name: row_key("Category", (name,)), partitions)
    each = rows // len(paths)
    lines = "".join(_ROW.format(names[number % len(names)]) for number in range(each))
    for path in paths:
        Path(path).write_text("Category,Length,Diameter,Height,Weight\n" + lines)
    return Load(each * len(paths), folder, partitions)


def spread(name_of: Callable[[int], str], key_of: Callable[[str], bytes], partitions: int) -> list[str]:
    """Names of which each partition gets as many."""
    found: dict[int, list[str]] = {number: [] for number in range(partitions)}
    for number in count():
        name = name_of(number)
        of_partition = found[partition_for(key_of(name), partitions)]
        if len(of_partition) < _PER_PARTITION:
            of_partition.append(name)
        if all(len(each) == _PER_PARTITION for each in found.values()):
            break
    # In turn, so that neighbours are of different partitions.
    return [each[at] for at in range(_PER_PARTITION) for each in found.values()]


def settings_of(load: Load, output: Path) -> Mapping[str, str]:
    """The settings that all stages get."""
    return {"PARTITIONS": str(load.partitions), "SPLIT_BY": "Category", "OUTPUT_DIR": str(output), "LOG_LEVEL": "error"}


def run(kafka: LocalKafka, stage: str, load: Load, replicas: int, cpus: float) -> float:
    """Seconds from the start of the replicas to the exit of the last one."""
    prefix = f"replicas-{stage}-{replicas}-{load.rows}."
    with TemporaryDirectory() as root:
        output = Path(root) / "out"
        output.mkdir()
        settings = settings_of(load, output)
        # What comes before it, as fast as it can.
        for name in STAGES[: STAGES.index(stage)]:
            with Service(name, kafka, prefix, *_arguments(name, load), **settings) as service:
                service.wait_for_exit()
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": prefix, **settings}
        command = [
            *("docker", "run", "--rm", "--network=host", f"--cpus={cpus}", f"--user={os.getuid()}:{os.getgid()}"),
            *(f"--volume={folder}:{folder}" for folder in (load.folder, output)),
            *(f"--env={name}={value}" for name, value in environment.items()),
            *(f"nacre-benchmark-{stage}", *_arguments(stage, load)),
        ]
        began = time.perf_counter()
        with ExitStack() as stack:
            running = [stack.enter_context(subprocess.Popen(command)) for _ in range(replicas)]
            codes = [process.wait() for process in running]
        if any(codes):
            sys.exit(f"{stage}: replicas ended with {codes}")
        took_s = time.perf_counter() - began
        if stage == "sink":
            check(load, output)
    remove_topics(kafka, prefix)
    return took_s


def _arguments(stage: str, load: Load) -> list[str]:
    return [str(load.folder), "--once"] if stage == "ingest" else ["--exit-when-done"]


def check(load: Load, output: Path) -> None:
    """As many rows came out as went in."""
    rows = sum(path.read_bytes().count(b"\n") - 1 for path in output.glob("Category/*.csv"))
    if rows != load.rows:
        sys.exit(f"{rows:,} rows came out, not {load.rows:,}")


def main() -> int:
    """Measure each stage with each number of replicas."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=6_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpus", type=float, default=0.2, help="the quota of each replica, in cores")
    parser.add_argument("--only", nargs="*", choices=STAGES, default=list(STAGES))
    asked = parser.parse_args()
    for stage in asked.only:
        build = ["docker", "build", "--quiet", f"--target={stage}", f"--tag=nacre-benchmark-{stage}", str(_PROJECT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    sys.stdout.write("| stage | partitions | replicas | rows/s | of one replica | ideal |\n" + "| --- " * 6 + "|\n")
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        for partitions in _PARTITIONS:
            few, many = (
                make_load(Path(root) / f"{partitions}-{rows}", rows, partitions) for rows in (_FEW_ROWS, asked.rows)
            )
            for stage in asked.only:
                rates: dict[int, float] = {}
                for replicas in _REPLICAS:
                    few_s, many_s = (
                        statistics.median(run(kafka, stage, load, replicas, asked.cpus) for _ in range(asked.rounds))
                        for load in (few, many)
                    )
                    rates[replicas] = (many.rows - few.rows) / (many_s - few_s)
                    ratio, ideal = rates[replicas] / rates[1], partitions / math.ceil(partitions / replicas)
                    cells = f"{partitions} | {replicas} | {rates[replicas]:,.0f} | {ratio:.2f} x | {ideal:.1f} x"
                    sys.stdout.write(f"| {stage} | {cells} |\n")
                    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
