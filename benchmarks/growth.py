"""`python -m benchmarks.growth [--only NAME …]`: what a row costs as one thing grows.

The three services at once, from start to exit, as one thing grows: the rows; the bytes of a row, with as many in all;
the partitions. Where these grow, the input is many files, because one source is in one partition. A figure counts the
time that the rows take beyond the time of a few rows, and is the median of three runs. Also written to
benchmarks/results/growth.json.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.kept import keep
from benchmarks.processes import bytes_in, running
from benchmarks.tables import heading, line
from benchmarks.throughput import remove_topics
from ops.kafka.local import LocalKafka

_FEW_ROWS = 100
_TIMES = 3
_BYTES = 100_000_000
_CATEGORIES = b"MFI"
_HEADER = b"Sex,Number\n"


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done."""

    rows: int = 3_000_000
    row_bytes: int = 46
    files: int = 1
    partitions: int = 6


_SPREAD = Work(files=24)
# By what grows: the works that differ in it alone, but for the rows that make up the same bytes.
_CURVES: Mapping[str, list[Work]] = {
    "rows": [Work(rows) for rows in (1_000_000, 3_000_000, 10_000_000)],
    "row_bytes": [Work(_BYTES // width, width) for width in (20, 200, 2_000, 20_000)],
    "partitions": [replace(_SPREAD, partitions=count) for count in (1, 6, 24)],
}


def write_input(folder: Path, work: Work) -> int:
    """Write the files, each with its share of the rows; return the bytes that come out."""
    folder.mkdir()
    digits = work.row_bytes - len(b"M,\n")
    for name in range(work.files):
        with folder.joinpath(f"{name:02}.csv").open("wb") as file:
            file.write(_HEADER)
            file.writelines(
                b"%c,%0*d\n" % (_CATEGORIES[number % 3], digits, number)
                for number in range(name, work.rows, work.files)
            )
    return work.rows * work.row_bytes + len(_CATEGORIES) * len(_HEADER)


def run(kafka: LocalKafka, work: Work, source: Path, expected_bytes: int) -> float:
    """Return the seconds from the first start to the last exit."""
    prefix, partitions = "growth.", str(work.partitions)
    with TemporaryDirectory() as root:
        output = Path(root)
        began = time.perf_counter()
        with running(
            kafka, prefix, source, output, finite=True, PARTITIONS=partitions, LOG_LEVEL="warning"
        ) as services:
            for service in services:
                service.wait_for_exit()
        took_s = time.perf_counter() - began
        found_bytes = bytes_in(output.glob("Sex/*.csv"))
        if found_bytes != expected_bytes:
            sys.exit(f"{work}: {found_bytes} bytes came out, not {expected_bytes}")
    remove_topics(kafka, prefix)
    return took_s


def median_s(kafka: LocalKafka, work: Work, times: int = _TIMES) -> float:
    """Return the median of so many runs over the same files."""
    with TemporaryDirectory() as root:
        source = Path(root) / "in"
        expected_bytes = write_input(source, work)
        return statistics.median(run(kafka, work, source, expected_bytes) for _ in range(times))


def main() -> int:
    """Measure each work of each curve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=_CURVES, default=list(_CURVES))
    asked = parser.parse_args()
    lines: list[dict[str, float]] = []
    sys.stdout.write(heading("", ("rows", "rows/s", "µs per row", "MB/s", "few rows, s")))
    with LocalKafka() as kafka:
        # The first rows of all find a broker that has not warmed up.
        median_s(kafka, Work(), times=1)
        for name in asked.only:
            for work in _CURVES[name]:
                few_s, rows_s = (median_s(kafka, each) for each in (replace(work, rows=_FEW_ROWS), work))
                row_s = (rows_s - few_s) / (work.rows - _FEW_ROWS)
                grown = getattr(work, name)
                cells = ["lost in the noise", "", ""]
                if row_s > 0:
                    mb_per_s = work.row_bytes / row_s / 1e6
                    found = {"rows_per_s": 1 / row_s, "us_per_row": 1e6 * row_s, "mb_per_s": mb_per_s}
                    lines.append({name: grown, **found})
                    cells = [f"{1 / row_s:,.0f}", f"{1e6 * row_s:.1f}", f"{mb_per_s:.1f}"]
                sys.stdout.write(line((f"{grown:,} {name}", f"{work.rows:,}", *cells, f"{few_s:.1f}")))
                sys.stdout.flush()
    keep("growth", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
