"""`python -m benchmarks.memory [COUNT …]`: the memory of each service by the rows that went through it.

COUNT abalone rows in one file, through the three services at once, which stay until all is in the files. Steady is the
median of what a service had in use (VmRSS) in the second half of that time, peak the most it ever had (VmHWM); of both
the median of three rounds, in which the counts take turns. Also written to benchmarks/results/memory.json. The 20
million rows of the figures in docs/performance.md are asked for: `python -m benchmarks.memory 1000000 20000000`.
"""

import json
import statistics
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import ABALONE
from benchmarks.processes import Service
from ops.kafka.local import LocalKafka

_COUNTS = (100_000, 1_000_000)
_ROUNDS = 3
_LOOK_INTERVAL_S = 0.1
_ROWS_PER_WRITE = 100_000
_RESULTS = Path(__file__).parent / "results" / "memory.json"
_HEADING = "| rows | ingest, steady, MiB | peak | split, steady | peak | sink, steady | peak |\n" + "| --- " * 7 + "|\n"


def write_rows(path: Path, rows: int) -> int:
    """Write so many abalone rows, a few at a time; return the bytes of their category files, each with a header."""
    header, *lines = ABALONE.read_bytes().splitlines(keepends=True)
    endless = cycle(lines)
    with path.open("wb") as file:
        file.write(header)
        for begin in range(0, rows, _ROWS_PER_WRITE):
            file.writelines(islice(endless, min(_ROWS_PER_WRITE, rows - begin)))
    return path.stat().st_size + 2 * len(header)


def measure(kafka: LocalKafka, folder: Path, rows: int) -> dict[str, float]:
    """What each service needs for so many rows, in MiB."""
    prefix, path, output = f"memory-{rows}.", folder / "rows.csv", folder / "out"
    expected_bytes = write_rows(path, rows)
    samples: defaultdict[str, list[float]] = defaultdict(list)
    peaks: dict[str, float] = {}
    with ExitStack() as stack:
        services = [
            stack.enter_context(Service("ingest", kafka, prefix, path)),
            stack.enter_context(Service("split", kafka, prefix, SPLIT_BY="Sex")),
            stack.enter_context(Service("sink", kafka, prefix, OUTPUT_DIR=str(output))),
        ]

        def is_done() -> bool:
            for service in services:
                samples[service.name].append(service.memory_mib("VmRSS"))
            time.sleep(_LOOK_INTERVAL_S)
            return sum(each.stat().st_size for each in output.glob("Sex/*.csv")) >= expected_bytes

        services[-1].wait_until(is_done)
        for service in services:
            peaks[service.name] = service.memory_mib("VmHWM")
            service.stop()
    told: dict[str, float] = {}
    for name, mib in samples.items():
        told |= {f"{name}_steady": statistics.median(mib[len(mib) // 2 :]), f"{name}_peak": peaks[name]}
    return told


def main() -> int:
    """Measure each count with services and topics of its own, in each round."""
    counts = [int(text) for text in sys.argv[1:]] or _COUNTS
    measured: defaultdict[int, list[dict[str, float]]] = defaultdict(list)
    for _ in range(_ROUNDS):
        for rows in counts:
            # A broker of its own, too: the disk does not hold the rows of all counts.
            with LocalKafka() as kafka, TemporaryDirectory() as root:
                told = measure(kafka, Path(root), rows)
            measured[rows].append(told)
            sys.stderr.write(f"{rows:,} rows: " + ", ".join(f"{what} {mib:.1f}" for what, mib in told.items()) + "\n")
    lines = [
        {"rows": rows} | {what: statistics.median(told[what] for told in rounds) for what in rounds[0]}
        for rows, rounds in measured.items()
    ]
    sys.stdout.write(_HEADING)
    for count, *mib in (line.values() for line in lines):
        sys.stdout.write(f"| {count:,.0f} | " + " | ".join(f"{each:.1f}" for each in mib) + " |\n")
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(lines, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
