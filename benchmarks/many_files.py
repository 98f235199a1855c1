"""`python -m benchmarks.many_files [COUNT …]`: what many input files cost ingest, with a real Kafka.

COUNT files of 100 rows each, in one folder. The table is also written to benchmarks/results/files.json. Its lines, each
for one count:

- seconds and rows/s until `ingest --once` has read and committed all of them;
- seconds until a second `ingest --once`, which knows them all and finds nothing new, is done;
- of an ingest that stays: seconds to ready, the processor it takes while nothing changes, its memory, and how long a
  row appended to one of the files takes to be in Kafka.
"""

import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Consumer, TopicPartition

from benchmarks.processes import Service, wait_until
from ops.kafka.local import LocalKafka

_COUNTS = (10, 1_000, 10_000)
_ROWS = 100
_HEADER = b"Sex,Number\n"
# Longer than the looks at what has not changed are apart.
_IDLE_S = 60.0
_RESTING_S = 0.5
_APPENDS = 20
_PARTITIONS = 6
_RESULTS = Path(__file__).parent / "results" / "files.json"
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


class Ends:
    """How many records, with what ends transactions, are in the topic of rows."""

    def __init__(self, kafka: LocalKafka, prefix: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "unused"})
        self._partitions = [TopicPartition(f"{prefix}rows", number) for number in range(_PARTITIONS)]

    def total(self) -> int:
        """Of all partitions, now."""
        return sum(self._consumer.get_watermark_offsets(each, timeout=10)[1] for each in self._partitions)


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
    read_s = Service("ingest", kafka, prefix, folder, "--once").wait_for_exit()
    again_s = Service("ingest", kafka, prefix, folder, "--once").wait_for_exit()
    ingest = Service("ingest", kafka, prefix, folder)
    ready_s = ingest.wait_for("ready")
    wait_for_rest(ingest)
    used_s, began = ingest.processor_s(), time.perf_counter()
    time.sleep(_IDLE_S)
    idle = (ingest.processor_s() - used_s) / (time.perf_counter() - began)
    ends, appended_s = Ends(kafka, prefix), []
    for number in range(_APPENDS):
        before = ends.total()
        began = time.perf_counter()
        with folder.joinpath(f"{number % count:05}.csv").open("ab") as file:
            file.write(b"M,0\n")
        wait_until(lambda before=before: ends.total() > before)  # type: ignore[misc]
        appended_s.append(time.perf_counter() - began)
    memory_mib = ingest.memory_mib("RssAnon")
    ingest.stop()
    return Line(count, read_s, again_s, ready_s, 100 * idle, memory_mib, statistics.median(appended_s))


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
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
