"""`python -m benchmarks.replicas [--only STAGE…]`: what more replicas give where each has a fifth of a core.

A stage's replicas are containers under a CPU quota, with six partitions of the same size. They start where there is
nothing to do, and are paused once the group is balanced; then what they read is put there, and they go on. A figure is
what is committed (by sink: written) per second while a tenth to not quite a half of all is done, when every replica is
still at work; of three runs the one in the middle. Needs Docker. Also written to benchmarks/results/replicas.json.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.contenders import STAGES
from benchmarks.processes import Service, wait_until
from benchmarks.throughput import remove_topics
from common.pipeline.topics import Groups, Topics
from common.protocol.partitioner import partition_for
from ops.kafka.local import LocalKafka

_ROOT = Path(__file__).parents[1]
_DOCKER = shutil.which("docker") or ""
_RESULTS = Path(__file__).parent / "results" / "replicas.json"
_QUOTA = 0.2
_REPLICAS = (1, 2, 4)
_TIMES = 3
_PARTITIONS = 6
_FILES = 24
_ROWS = 6_000_000
# Each partition of `categorized` gets about as many.
_CATEGORIES = 240
_ROW = b"%03d,%042d\n"
_BEGIN, _END = 0.1, 0.45
# A paused replica says nothing, and is to stay in its group.
_SETTINGS = {"SPLIT_BY": "Category", "PARTITIONS": str(_PARTITIONS), "SESSION_TIMEOUT_S": "300", "LOG_LEVEL": "warning"}


class Input:
    """The files, as many for each partition, each with its share of the rows: written once, there when they are put."""

    def __init__(self, root: Path) -> None:
        self._kept, self._put = root / "kept", root / "in"
        self._kept.mkdir()
        self._put.mkdir()
        write_files(self._kept, self._put)
        self.pattern = str(self._put / "*.csv")
        self.size = sum(path.stat().st_size for path in self._kept.iterdir())

    def put(self) -> None:
        """Put all of them there."""
        for path in self._kept.iterdir():
            os.link(path, self._put / path.name)

    def remove(self) -> None:
        """Let there be none."""
        for path in self._put.iterdir():
            path.unlink()


def write_files(folder: Path, home: Path) -> None:
    """Write the files here; their partitions are those of the same names in `home`."""
    left = Counter(dict.fromkeys(range(_PARTITIONS), _FILES // _PARTITIONS))
    numbers = itertools.count()
    for index in range(_FILES):
        name = next(name for name in (f"{each}.csv" for each in numbers) if left[_partition_of(home / name)])
        left[_partition_of(home / name)] -= 1
        with folder.joinpath(name).open("wb") as file:
            file.write(b"Category,Number\n")
            file.writelines(_ROW % (number // _FILES % _CATEGORIES, number) for number in range(index, _ROWS, _FILES))


def _partition_of(path: Path) -> int:
    return partition_for(str(path).encode(), _PARTITIONS)


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


def measure(kafka: LocalKafka, stage: str, count: int, root: Path, files: Input) -> float:
    """Return what so many replicas do per second: rows that are committed, or bytes that are written."""
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
        whole = files.size if stage == "sink" else _ROWS
        rate = _rate(_progress_of(kafka, prefix, stage, Path(output)), whole, replicas.go_on)
    remove_topics(kafka, prefix)
    return rate


def _run(kafka: LocalKafka, prefix: str, name: str, *arguments: str) -> None:
    with Service(name, kafka, prefix, *arguments, **_SETTINGS) as service:
        service.wait_for_exit()


def _progress_of(kafka: LocalKafka, prefix: str, stage: str, output: Path) -> Callable[[], int]:
    if stage == "sink":
        return lambda: sum(path.stat().st_size for path in output.glob("Category/*.csv"))
    topics = Topics.under(prefix)
    topic = topics.rows if stage == "ingest" else topics.categorized
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "none", "isolation.level": "read_committed"})
    partitions = [TopicPartition(topic, number) for number in range(_PARTITIONS)]
    # Until it has asked for a topic, it knows none of its partitions.
    consumer.list_topics(topic, timeout=10)

    def committed() -> int:
        return sum(consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions)

    return committed


def _rate(done: Callable[[], int], whole: int, begin: Callable[[], None]) -> float:
    before = done()
    begin()
    wait_until(lambda: done() - before >= _BEGIN * whole)
    first, first_at = done(), time.perf_counter()
    wait_until(lambda: done() - before >= _END * whole)
    return (done() - first) / (time.perf_counter() - first_at)


def write_table(rates: Sequence[tuple[str, int, float]]) -> None:
    """Print what so many replicas do as many times as one."""
    sys.stdout.write(f"| times one replica | {' | '.join(map(str, _REPLICAS))} |\n{'| --- ' * (len(_REPLICAS) + 1)}|\n")
    for stage in dict.fromkeys(stage for stage, *_ in rates):
        found = {count: rate for name, count, rate in rates if name == stage}
        cells = " | ".join(f"{found[count] / found[_REPLICAS[0]]:.2f}" for count in _REPLICAS)
        sys.stdout.write(f"| {stage} | {cells} |\n")


def main() -> int:
    """Measure each stage with each number of replicas."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=STAGES, default=STAGES)
    asked = parser.parse_args()
    if not _DOCKER:
        sys.stderr.write("no docker command: replicas under a CPU quota are not measured\n")
        return 0
    rates: list[tuple[str, int, float]] = []
    with LocalKafka() as kafka, TemporaryDirectory() as folder:
        files = Input(Path(folder))
        for stage in asked.only:
            docker("build", "--quiet", "--target", stage, "--tag", _image(stage), str(_ROOT))
            for count in _REPLICAS:
                rate = statistics.median(measure(kafka, stage, count, Path(folder), files) for _ in range(_TIMES))
                rates.append((stage, count, rate))
                sys.stderr.write(f"{count} {stage}: {rate:,.0f} {'bytes' if stage == 'sink' else 'rows'}/s\n")
    write_table(rates)
    _RESULTS.parent.mkdir(exist_ok=True)
    lines = [{"stage": stage, "replicas": count, "per_s": rate} for stage, count, rate in rates]
    _RESULTS.write_text(json.dumps(lines, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
