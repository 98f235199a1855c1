"""`python -m benchmarks.latency [--rows-per-s N] [--seconds S]`: how long a row takes through the three services.

Rows are appended to a file that ingest follows, some each 10 ms, each row with the time of its append, and a reader
looks at the files of three categories each millisecond. A row's latency is from its append to when the reader has it.
The files are compared with a filter over the input. Also written to benchmarks/results/latency.json.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from benchmarks.kept import keep
from benchmarks.processes import percentile, running
from benchmarks.tables import table
from ops.kafka.local import LocalKafka

_HEADER = b"Sex,Appended,Length,Diameter,Height,Whole weight\n"
_ROW = b"%c,%d,0.455,0.365,0.095,0.514\n"
_CATEGORIES = b"MFI"
_APPEND_INTERVAL_S = 0.01
_LOOK_INTERVAL_S = 0.001
_WARM_UP_S = 5.0
_DRAIN_S = 10.0
_SHARES_SLOWER = (50.0, 10.0, 5.0, 1.0, 0.1)


class Feeder:
    """Appends rows to a file by the clock: so many each interval, on time on average."""

    def __init__(self, file: BinaryIO, rows_per_s: int) -> None:
        self._file = file
        self._batch_rows = max(1, round(rows_per_s * _APPEND_INTERVAL_S))
        self._next_at = time.perf_counter()
        self.rows = 0

    def append_due(self) -> None:
        """Append what is due by now."""
        while time.perf_counter() >= self._next_at:
            at = time.perf_counter_ns()
            numbers = range(self.rows, self.rows + self._batch_rows)
            self._file.write(b"".join(_ROW % (_CATEGORIES[number % 3], at) for number in numbers))
            self._file.flush()
            self.rows += self._batch_rows
            self._next_at += _APPEND_INTERVAL_S


class Reader:
    """Reads what was added to a category's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._has_header = False

    def appended_ns(self) -> Iterator[int]:
        """When the rows that are new were appended."""
        if self._file is None:
            if not self._path.exists():
                return
            self._file = self._path.open("rb", buffering=0)
        added = self._file.read()
        if not added:
            return
        *lines, self._rest = (self._rest + added).split(b"\n")
        for line in lines:
            if self._has_header:
                yield int(line.split(b",", 2)[1])
            self._has_header = True


@dataclass(frozen=True, slots=True)
class Line:
    """So many percent of the rows are slower than this."""

    slower_percent: float
    latency_ms: float


def flow(feeder: Feeder, readers: list[Reader], seconds: float) -> list[float]:
    """Append for so long and read until all is there; the milliseconds of each row after the warm-up, sorted."""
    began = time.perf_counter()
    measured_from_ns = time.perf_counter_ns() + int(1e9 * _WARM_UP_S)
    feeding_until = began + _WARM_UP_S + seconds
    latencies_ms: list[float] = []
    seen = 0
    while (now := time.perf_counter()) < feeding_until or seen < feeder.rows:
        if now > feeding_until + _DRAIN_S:
            sys.exit(f"{feeder.rows - seen} rows are missing")
        if now < feeding_until:
            feeder.append_due()
        for reader in readers:
            appended_ns = list(reader.appended_ns())
            read_ns = time.perf_counter_ns()
            seen += len(appended_ns)
            latencies_ms += [(read_ns - at) / 1e6 for at in appended_ns if at >= measured_from_ns]
        time.sleep(_LOOK_INTERVAL_S)
    return sorted(latencies_ms)


def measure(kafka: LocalKafka, folder: Path, rows_per_s: int, seconds: float) -> list[float]:
    """Start the services, let rows flow, check every byte; return the sorted milliseconds."""
    path, output = folder / "rows.csv", folder / "out"
    path.write_bytes(_HEADER)
    readers = {chr(letter): Reader(output / "Sex" / f"{chr(letter)}.csv") for letter in _CATEGORIES}
    with running(kafka, "latency.", path, output) as services, path.open("ab") as file:
        for service in services:
            service.wait_for("ready")
        latencies_ms = flow(Feeder(file, rows_per_s), list(readers.values()), seconds)
        for service in services:
            service.stop()
    rows = path.read_bytes().splitlines(keepends=True)[1:]
    for name in readers:
        expected = _HEADER + b"".join(row for row in rows if row[:1] == name.encode())
        if (output / "Sex" / f"{name}.csv").read_bytes() != expected:
            sys.exit(f"{name}.csv is not what it has to be")
    return latencies_ms


def main() -> int:
    """Measure, once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows-per-s", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=25.0)
    asked = parser.parse_args()
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        latencies_ms = measure(kafka, Path(root), asked.rows_per_s, asked.seconds)
    lines = [Line(share, percentile(latencies_ms, 100 - share)) for share in _SHARES_SLOWER]
    cells = [f"{line.latency_ms:.0f}" for line in lines] + [f"{latencies_ms[-1]:.0f}"]
    columns = ("p50, ms", "p90", "p95", "p99", "p99.9", "max")
    sys.stdout.write(table("rows", columns, [(f"{len(latencies_ms):,}", *cells)]))
    told = [*lines, Line(100 / len(latencies_ms), latencies_ms[-1])]
    keep("latency", [asdict(line) for line in told])
    return 0


if __name__ == "__main__":
    sys.exit(main())
