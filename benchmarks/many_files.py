"""`python -m benchmarks.many_files [COUNT …]`: what many input files cost ingest, with a real Kafka.

COUNT files of 100 rows each, in one folder. The table is also written to benchmarks/results/files.json. Its lines, each
for one count:

- seconds and rows/s until `ingest --once` has read and committed all of them;
- seconds until a second `ingest --once`, which knows them all and finds nothing new, is done;
- of an ingest that stays: seconds to ready, the processor it takes while nothing changes, its memory, and how long a
  row appended to one of the files takes to be in Kafka.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.inputs import PARTITIONS
from benchmarks.kept import keep
from benchmarks.processes import Service
from benchmarks.topic_ends import end_of
from common.pipeline.topics import Topics
from ops.kafka.local import LocalKafka

_COUNTS = (10, 1_000, 10_000)
_ROWS = 100
_HEADER = b"Sex,Number\n"
# ingest looks at unchanged files every 30 s, so exactly one look falls into this time.
_IDLE_S = 30.0
_RESTING_S = 0.5
_APPENDS = 20
_HEADING = " files  read, s  rows/s  again, s  ready, s  idle, % of a core  memory, MiB  appended row, s"


def make_files(folder: Path, count: int) -> None:
    """Make so many files."""
    content = _HEADER + b"".join(b"%s,%d\n" % (b"MFI"[number % 3 :][:1], number) for number in range(_ROWS))
    for number in range(count):
        folder.joinpath(f"{number:05}.csv").write_bytes(content)


def wait_for_rest(ingest: Service) -> None:
    """Wait until it has looked at every file: for a second it took less than half of a core."""
    used_s = -1.0
    while used_s < 0 or ingest.processor_s() - used_s > _RESTING_S:
        used_s = ingest.processor_s()
        time.sleep(1.0)


@dataclass(frozen=True, slots=True)
class Line:
    """What one count costs."""

    files: int
    read_s: float
    again_s: float
    ready_s: float
    idle_percent: float
    memory_mib: float
    appended_s: float

    def __str__(self) -> str:
        """A line of the table."""
        return (
            f"{self.files:6,} {self.read_s:8.1f} {self.files * _ROWS / self.read_s:7,.0f} {self.again_s:9.1f} "
            f"{self.ready_s:9.1f} {self.idle_percent:19.1f} {self.memory_mib:12.0f} {self.appended_s:16.2f}"
        )


def measure(kafka: LocalKafka, folder: Path, count: int) -> Line:
    """Measure one count."""
    prefix = f"files-{count}."
    make_files(folder, count)
    read_s, again_s = (_once(kafka, prefix, folder) for _ in range(2))
    with Service("ingest", kafka, prefix, folder) as ingest:
        ready_s = ingest.wait_for("ready")
        wait_for_rest(ingest)
        used_s, began = ingest.processor_s(), time.perf_counter()
        time.sleep(_IDLE_S)
        idle = (ingest.processor_s() - used_s) / (time.perf_counter() - began)
        end = end_of(kafka, Topics.under(prefix).rows, PARTITIONS)
        appended_s = [_append(ingest, folder / f"{number % count:05}.csv", end) for number in range(_APPENDS)]
        memory_mib = ingest.memory_mib("RssAnon")
        ingest.stop()
    return Line(count, read_s, again_s, ready_s, 100 * idle, memory_mib, statistics.median(appended_s))


def _once(kafka: LocalKafka, prefix: str, folder: Path) -> float:
    with Service("ingest", kafka, prefix, folder, "--once") as ingest:
        return ingest.wait_for_exit()


def _append(ingest: Service, path: Path, end: Callable[[], int]) -> float:
    before, began = end(), time.perf_counter()
    with path.open("ab") as file:
        file.write(b"M,0\n")
    ingest.wait_until(lambda: end() > before)
    return time.perf_counter() - began


def main() -> int:
    """Measure each count with topics of its own."""
    lines: list[Line] = []
    with LocalKafka() as kafka:
        sys.stdout.write(_HEADING + "\n")
        for count in [int(text) for text in sys.argv[1:]] or _COUNTS:
            with TemporaryDirectory() as root:
                folder = Path(root) / "in"
                folder.mkdir()
                lines.append(measure(kafka, folder, count))
                sys.stdout.write(f"{lines[-1]}\n")
                sys.stdout.flush()
    keep("files", [asdict(line) for line in lines])
    return 0


if __name__ == "__main__":
    sys.exit(main())
