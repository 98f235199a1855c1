"""`python -m benchmarks.memory [--loaded N] [COUNT …]`: the memory of each service by the rows that went through it.

COUNT abalone rows in one file, and so in one partition; and N rows of 240 categories in 24 files, which fill all six
partitions. They go through the three services at once, which stay until all is in the files. Steady is the median of
what a service had in use (VmRSS) in the second half of that time, peak the most it ever had (VmHWM); of both the median
of three rounds, in which the loads take turns. Also written to benchmarks/results/memory.json, where other numbers of
rows that were measured before stay. The 20 million rows of the figures in docs/performance.md are asked for: `python -m
benchmarks.memory 1000000 20000000`.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.inputs import write_files, write_rows
from benchmarks.kept import keep, kept, merged
from benchmarks.processes import bytes_in, running
from benchmarks.tables import table
from ops.kafka.local import LocalKafka

_COUNTS = (100_000, 1_000_000)
_LOADED_ROWS = 6_000_000
_ROUNDS = 3
_LOOK_INTERVAL_S = 0.1
_COLUMNS = ("ingest, steady, MiB", "peak", "split, steady", "peak", "sink, steady", "peak")


class Load(NamedTuple):
    """So many rows, in one partition or in all."""

    rows: int
    is_spread: bool = False

    def __str__(self) -> str:
        """What its row of the table is called."""
        return f"6 partitions under load: {self.rows:,}" if self.is_spread else f"{self.rows:,}"


def measure(kafka: LocalKafka, folder: Path, load: Load) -> dict[str, float]:
    """What each service needs for so many rows, in MiB."""
    source, output = folder / "in", folder / "out"
    source.mkdir()
    if load.is_spread:
        split_by, expected_bytes = "Category", write_files(source, load.rows)
    else:
        split_by, expected_bytes = "Sex", write_rows(source / "rows.csv", load.rows)
    samples: defaultdict[str, list[float]] = defaultdict(list)
    peaks: dict[str, float] = {}
    with running(kafka, "memory.", source, output, split_by=split_by) as services:

        def is_done() -> bool:
            for service in services:
                samples[service.name].append(service.memory_mib("VmRSS"))
            time.sleep(_LOOK_INTERVAL_S)
            return bytes_in(output.glob(f"{split_by}/*.csv")) >= expected_bytes

        services[-1].wait_until(is_done)
        for service in services:
            peaks[service.name] = service.memory_mib("VmHWM")
            service.stop()
    told: dict[str, float] = {}
    for name, mib in samples.items():
        told |= {f"{name}_steady": statistics.median(mib[len(mib) // 2 :]), f"{name}_peak": peaks[name]}
    return told


def lines_of(measured: Mapping[Load, Mapping[str, float]]) -> list[dict[str, float]]:
    """What is kept: the rows have a name of their own where they are spread, because no curve goes through both."""
    return [{"loaded_rows" if load.is_spread else "rows": load.rows, **mib} for load, mib in measured.items()]


def with_others(
    before: Sequence[Mapping[str, float]], lines: Sequence[Mapping[str, float]]
) -> list[Mapping[str, float]]:
    """These lines with those of other numbers of rows, which took longer to measure; the fewest rows first."""
    both = merged(before, lines, "rows", "loaded_rows")
    return sorted(both, key=lambda line: (line.get("loaded_rows", 0), line.get("rows", 0)))


def main() -> int:
    """Measure each load with services and topics of its own, in each round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", metavar="COUNT", nargs="*", type=int, default=_COUNTS)
    parser.add_argument("--loaded", metavar="N", type=int, default=_LOADED_ROWS)
    asked = parser.parse_args()
    rounds: defaultdict[Load, list[dict[str, float]]] = defaultdict(list)
    for _ in range(_ROUNDS):
        for load in (*map(Load, asked.counts), Load(asked.loaded, is_spread=True)):
            # A broker of its own, too: the disk does not hold the rows of all loads.
            with LocalKafka() as kafka, TemporaryDirectory() as root:
                told = measure(kafka, Path(root), load)
            rounds[load].append(told)
            sys.stderr.write(f"{load} rows: " + ", ".join(f"{what} {mib:.1f}" for what, mib in told.items()) + "\n")
    measured = {
        load: {what: statistics.median(told[what] for told in each) for what in each[0]}
        for load, each in rounds.items()
    }
    rows = ((str(load), *(f"{mib:.1f}" for mib in found.values())) for load, found in measured.items())
    sys.stdout.write(table("rows", _COLUMNS, rows))
    keep("memory", with_others(kept("memory") or [], lines_of(measured)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
