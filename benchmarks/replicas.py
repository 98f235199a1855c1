"""`python -m benchmarks.replicas [--only STAGE…]`: what more replicas give where each has a fifth of a core.

A stage's replicas are containers under a CPU quota, with six partitions of the same size. They start where there is
nothing to do, and are paused once the group is balanced; then what they read is put there, and they go on. A figure is
what is committed (by sink: written) per second while a tenth to not quite a half of all is done, when every replica is
still at work; of three runs the one in the middle. More replicas have more rows: a quota is of each 0.1 s, so a figure
of less than some seconds says little. Needs Docker. Also written to benchmarks/results/replicas.json.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple, Self

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from benchmarks.contenders import STAGES
from benchmarks.inputs import PARTITIONS, write_files
from benchmarks.kept import keep, kept, merged
from benchmarks.processes import Service, bytes_in, wait_until
from benchmarks.tables import table
from benchmarks.throughput import remove_topics
from benchmarks.topic_ends import end_of
from common.pipeline.topics import Groups, Topics
from ops.kafka.local import LocalKafka

_ROOT = Path(__file__).parents[1]
_DOCKER = shutil.which("docker") or ""
_QUOTA = 0.2
_REPLICAS = (1, 2, 4)
_TIMES = 3
# For each number of replicas, so that all are looked at for 3 s or longer, as fast as they were here.
_ROWS: Mapping[str, Sequence[int]] = MappingProxyType(
    {
        "ingest": (12_000_000, 24_000_000, 60_000_000),
        "split": (6_000_000, 12_000_000, 24_000_000),
        "sink": (6_000_000, 12_000_000, 24_000_000),
    }
)
_BEGIN, _END = 0.1, 0.45
# A paused replica says nothing, and is to stay in its group.
_SETTINGS = {"SPLIT_BY": "Category", "PARTITIONS": str(PARTITIONS), "SESSION_TIMEOUT_S": "300", "LOG_LEVEL": "warning"}


class Input:
    """The files, as many for each partition, each with its share of the rows: written once, there when they are put."""

    def __init__(self, root: Path, rows: int) -> None:
        self._kept, self._put = root / "kept", root / "in"
        self._kept.mkdir()
        self._put.mkdir()
        self.rows, self.size = rows, write_files(self._kept, rows, self._put)
        self.pattern = str(self._put / "*.csv")

    def put(self) -> None:
        """Put all of them there."""
        for path in self._kept.iterdir():
            os.link(path, self._put / path.name)

    def remove(self) -> None:
        """Remove all of them."""
        for path in self._put.iterdir():
            path.unlink()


class Rate(NamedTuple):
    """What is done per second, and how long that was looked at."""

    per_s: float
    window_s: float


class Replicas:
    """Replicas of a stage, each with a fifth of a core; on the way out of a `with` they are gone."""

    def __init__(self, kafka: LocalKafka, prefix: str, stage: str, count: int, root: Path, **settings: str) -> None:
        settings |= {**_SETTINGS, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "TOPIC_PREFIX": prefix}
        told = [text for name, value in settings.items() for text in ("--env", f"{name}={value}")]
        limits = ["--cpus", str(_QUOTA), "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}"]
        command = ["run", "--detach", *limits, "--volume", f"{root}:{root}", *told, _image(stage)]
        self._ids = [docker(*command) for _ in range(count)]
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        self._group = str(getattr(Groups.under(prefix), stage))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", *self._ids)

    def are_balanced(self) -> bool:
        """Whether each is in the group and has partitions."""
        running = docker("inspect", "--format", "{{.State.Running}}", *self._ids)
        if "false" in running:
            sys.exit(f"a replica has ended:\n{docker('logs', self._ids[running.split().index('false')])}")
        try:
            group = self._admin.describe_consumer_groups([self._group])[self._group].result()
        except KafkaException:
            # There is none yet, or its coordinator is still being found.
            return False
        shares = [len(member.assignment.topic_partitions) for member in group.members]
        return group.state is ConsumerGroupState.STABLE and len(shares) == len(self._ids) and all(shares)

    def pause(self) -> None:
        """Let them do nothing."""
        docker("pause", *self._ids)

    def go_on(self) -> None:
        """Let them go on."""
        docker("unpause", *self._ids)


def docker(*arguments: str) -> str:
    """Run a Docker command that has to succeed; return what it prints."""
    finished = subprocess.run([_DOCKER, *arguments], capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"docker {arguments[0]}: {finished.stderr}")
    return finished.stdout.strip() or finished.stderr.strip()


def _image(stage: str) -> str:
    return f"nacre-benchmark-{stage}"


def measure(kafka: LocalKafka, stage: str, count: int, root: Path, files: Input) -> Rate:
    """Return what this many replicas do per second: rows that are committed, or bytes that are written."""
    prefix = f"replicas-{uuid.uuid4().hex[:8]}."
    with TemporaryDirectory(dir=root) as output, ExitStack() as stack:
        stack.callback(files.remove)
        settings = {"INPUT": files.pattern, "OUTPUT_DIR": output}
        replicas = stack.enter_context(Replicas(kafka, prefix, stage, count, root, **settings))
        wait_until(replicas.are_balanced)
        replicas.pause()
        files.put()
        if stage != "ingest":
            _run(kafka, prefix, "ingest", files.pattern, "--once")
        if stage == "sink":
            _run(kafka, prefix, "split", "--exit-when-done")
        whole = files.size if stage == "sink" else files.rows
        rate = _rate(_progress_of(kafka, prefix, stage, Path(output)), whole, replicas.go_on)
    remove_topics(kafka, prefix)
    return rate


def _middle(kafka: LocalKafka, stage: str, count: int, rows: int) -> Rate:
    with TemporaryDirectory() as folder:
        files = Input(Path(folder), rows)
        return statistics.median_low(measure(kafka, stage, count, Path(folder), files) for _ in range(_TIMES))


def _run(kafka: LocalKafka, prefix: str, name: str, *arguments: str) -> None:
    with Service(name, kafka, prefix, *arguments, **_SETTINGS) as service:
        service.wait_for_exit()


def _progress_of(kafka: LocalKafka, prefix: str, stage: str, output: Path) -> Callable[[], int]:
    if stage == "sink":
        return lambda: bytes_in(output.glob("Category/*.csv"))
    topics = Topics.under(prefix)
    return end_of(kafka, topics.rows if stage == "ingest" else topics.categorized, PARTITIONS)


def _rate(done: Callable[[], int], whole: int, begin: Callable[[], None]) -> Rate:
    before = done()
    begin()
    wait_until(lambda: done() - before >= _BEGIN * whole)
    first, first_at = done(), time.perf_counter()
    wait_until(lambda: done() - before >= _END * whole)
    last, window_s = done(), time.perf_counter() - first_at
    return Rate((last - first) / window_s, window_s)


def shown(found: Mapping[str, Sequence[Rate]]) -> str:
    """The table: how many times as fast as one replica each number of replicas is."""
    rows = ((stage, *(f"{rate.per_s / rates[0].per_s:.2f}" for rate in rates)) for stage, rates in found.items())
    return table("times one replica", [*map(str, _REPLICAS)], rows)


def main() -> int:
    """Measure each stage with each number of replicas."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=STAGES, default=STAGES)
    asked = parser.parse_args()
    if not _DOCKER:
        sys.stderr.write("no docker command: replicas under a CPU quota are not measured\n")
        return 0
    found: dict[str, list[Rate]] = {stage: [] for stage in asked.only}
    with LocalKafka() as kafka:
        for stage, rates in found.items():
            docker("build", "--quiet", "--target", stage, "--tag", _image(stage), str(_ROOT))
            for count, rows in zip(_REPLICAS, _ROWS[stage], strict=True):
                rates.append(_middle(kafka, stage, count, rows))
                rate, unit = rates[-1], "bytes" if stage == "sink" else "rows"
                sys.stderr.write(f"{count} {stage}: {rate.per_s:,.0f} {unit}/s, for {rate.window_s:.1f} s\n")
    sys.stdout.write(shown(found))
    lines = [
        {"stage": stage, "replicas": count, **rate._asdict()}
        for stage, rates in found.items()
        for count, rate in zip(_REPLICAS, rates, strict=True)
    ]
    keep("replicas", merged(kept("replicas") or [], lines, "stage", "replicas"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
