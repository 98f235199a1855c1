"""`docker compose stop`, `kill`, `restart`, `pause` and a crash of each service under load: the files never show it."""

import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, TopicPartition

from tests.harness.compose_project import ROOT, SERVICES, Project, docker, last_assigned, wait_until
from tests.harness.observer import Observer

# The first test may have to build the images.
pytestmark = pytest.mark.timeout(400)

HEADER, *ABALONE = (ROOT / "data" / "abalone_full.csv").read_bytes().splitlines()
SOURCES = tuple(f"s{number}" for number in range(6))
PARTITIONS = 6
REPLICAS = {"ingest": 1, "split": 2, "sink": 2}
DRAIN_DEADLINE_S = 8.0
# Rows that a service is kept behind with while it is disturbed, and how many a source grows by at once.
AHEAD_ROWS = 100_000
GROWTH_ROWS = 10_000

Record = Callable[[str, object], None]

# Kafka listens for the host too: the test looks into the topics.
OVERRIDE = """\
services:
  kafka:
    ports: ["127.0.0.1:{port}:19092"]
    environment:
      KAFKA_LISTENERS: PLAINTEXT://:9092,HOST://:19092,CONTROLLER://:9093
      KAFKA_ADVERTISED_LISTENERS: PLAINTEXT://kafka:9092,HOST://127.0.0.1:{port}
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: PLAINTEXT:PLAINTEXT,HOST:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


class Input:
    """Growing files in data/: Abalone's rows, again and again, each with its source and its number behind it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.rows = 0
        self.size = 0
        for name in SOURCES:
            folder.joinpath(f"{name}.csv").write_bytes(HEADER + b",Source,Number\n")

    def grow(self) -> None:
        """Append as many rows to each source."""
        numbers = range(self._count, self._count + GROWTH_ROWS)
        for name in SOURCES:
            rows = b"".join(b"%s,%s,%d\n" % (ABALONE[i % len(ABALONE)], name.encode(), i) for i in numbers)
            with self._folder.joinpath(f"{name}.csv").open("ab") as file:
                file.write(rows)
            self.size += len(rows)
        self._count += GROWTH_ROWS
        self.rows += GROWTH_ROWS * len(SOURCES)


class Load:
    """The input and how far each service is with it, in rows."""

    def __init__(self, project: Project, bootstrap: str) -> None:
        self._all = project.out / "all.csv"
        self.input = Input(project.data)
        self.observer = Observer(bootstrap, "nacre.")
        self._lock = threading.Lock()
        self._read: dict[bytes, int] = {}
        self._progress = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "test",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
        self._read_to = [0] * PARTITIONS
        self._progress.assign([TopicPartition("nacre.progress", number, 0) for number in range(PARTITIONS)])

    def done(self, service: str) -> int:
        """The rows that the service has committed or, for sink, written. Of split also what ends transactions."""
        with self._lock:
            return {"ingest": self._ingested, "split": self._split, "sink": self._written}[service]()

    def pending(self, service: str) -> int:
        """The rows that it could carry and has not, at least."""
        if service == "split":
            return sum(self.observer.ends("rows", committed=True)) - self.done(service)
        return self.input.rows - self.done(service)

    def _ingested(self) -> int:
        ends = self.observer.ends("progress", committed=True)
        while any(at < end for at, end in zip(self._read_to, ends, strict=False)):
            for message in self._progress.consume(1_000, timeout=0.05):
                error, number, offset = message.error(), message.partition(), message.offset()
                if error is None:
                    # A partition's run is of no source.
                    tally = json.loads(message.value() or b"").get("tally", {"rows": 0})
                    self._read[message.key() or b""] = tally["rows"]
                else:
                    # Behind the last record there is what ended its transaction.
                    assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001 - its name
                    assert number is not None
                    assert offset is not None
                    self._read_to[number] = offset
        return sum(self._read.values())

    def _split(self) -> int:
        rows = [TopicPartition("nacre.rows", number) for number in range(PARTITIONS)]
        [answer] = self.observer.admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions("nacre.split", rows)]
        ).values()
        return sum(max(0, partition.offset) for partition in answer.result().topic_partitions or [])

    def _written(self) -> int:
        size = self._all.stat().st_size if self._all.exists() else 0
        return size * self.input.rows // max(1, self.input.size)

    @contextmanager
    def ahead_of(self, service: str) -> Iterator[None]:
        """Let the input grow so that the service, whatever it does meanwhile, has work left."""
        over = threading.Event()

        def grow() -> None:
            while not over.is_set():
                if self.input.rows - self.done(service) < AHEAD_ROWS:
                    self.input.grow()
                else:
                    over.wait(0.02)

        with ThreadPoolExecutor(max_workers=1) as thread:
            growing = thread.submit(grow)
            try:
                yield
            finally:
                over.set()
            growing.result()

    def wait_for_more(self, service: str, done: int) -> None:
        """Wait until the service has carried rows beyond those."""
        wait_until(lambda: self.done(service) > done + 100, f"{service} is at work")

    def close(self) -> None:
        """Close what it reads with."""
        self._progress.close()


@dataclass(frozen=True)
class Event:
    """What Docker says has happened to a container."""

    what: str
    exit_code: str
    at: float


def docker_events(project: Project, service: str, since: float) -> list[Event]:
    """What has happened to a service's containers since then."""
    labels = {"project": project.name, "service": service}
    printed = docker(
        "events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}", "--format", "{{json .}}",
        "--filter", "type=container",
        *(word for name, value in labels.items() for word in ("--filter", f"label=com.docker.compose.{name}={value}")),
    )  # fmt: skip
    events = [json.loads(line) for line in printed.splitlines()]
    return [
        Event(event["Action"], event["Actor"]["Attributes"].get("exitCode", ""), event["timeNano"] / 1e9)
        for event in events
    ]


class Disturbances:
    """Disturbs services under load and notes how long things took."""

    def __init__(self, project: Project, load: Load, record_property: Record) -> None:
        self.project = project
        self.load = load
        self.record = record_property

    def disturb(self, service: str, *command: str, exit_code: str, again: tuple[str, ...] = ()) -> None:
        """Run a compose command on a service in midstream, then, unless it is up again, `again`; see it go on."""
        named = " ".join(command)
        load = self.load
        with load.ahead_of(service):
            load.wait_for_more(service, load.done(service))
            began = time.time()
            self.project.compose(*command, service)
            wait_until(lambda: len(self.events(service, "die", began)) == REPLICAS[service], f"{service} ended")
        done, pending = load.done(service), load.pending(service)
        assert pending > 1_000
        ends = self.events(service, "die", began)
        assert {end.exit_code for end in ends} == {exit_code}
        exit_s = max(end.at for end in ends) - began
        assert exit_s < DRAIN_DEADLINE_S
        self.record(f"{service}: {named}: pending, rows", pending)
        self.record(f"{service}: {named}: command to exit, s", exit_s)
        if again:
            # Nobody but the user starts it again.
            assert not self.events(service, "start", began)
            assert {each.running for each in self.project.containers(service)} == {False}
            asked = time.time()
            self.project.compose(*again, service)
        else:
            asked = began
        load.wait_for_more(service, done)
        worked = time.time()
        starts = self.events(service, "start", began)
        assert len(starts) == REPLICAS[service]
        named = " ".join([named, *again[:1]])
        self.record(f"{service}: {named}: command to next row, s", worked - asked)
        self.record(f"{service}: {named}: container's start to next row, s", worked - min(each.at for each in starts))

    def events(self, service: str, what: str, since: float) -> list[Event]:
        """What Docker told of the service's containers since then."""
        return [event for event in docker_events(self.project, service, since) if event.what == what]


@pytest.fixture
def load(project: Project) -> Iterator[Load]:
    """The project running, with its input."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    project.folder.joinpath("compose.override.yaml").write_text(OVERRIDE.format(port=port))
    project.compose("up", "--detach", "--wait", "kafka")
    load = Load(project, f"127.0.0.1:{port}")
    load.input.grow()
    replicas = [word for service, count in REPLICAS.items() for word in ("--scale", f"{service}={count}")]
    project.compose("up", "--detach", *replicas)
    wait_until(lambda: project.output_size() > 0, "the first rows are written")
    yield load
    load.close()


def test_every_disturbance_of_every_service(project: Project, load: Load, record_property: Record) -> None:
    began = time.monotonic()
    disturbances = Disturbances(project, load, record_property)
    for service in SERVICES:
        disturbances.disturb(service, "stop", exit_code="0", again=("start",))
        disturbances.disturb(service, "kill", exit_code="137", again=("start",))
        disturbances.disturb(service, "restart", exit_code="0")
        disturbances.disturb(service, "kill", "-s", "SIGTERM", exit_code="0", again=("start",))
    record_property("disturbances, s", time.monotonic() - began)
    record_property("input, rows", load.input.rows)
    finish(project, load, record_property)


def test_frozen_recreated_and_crashed(project: Project, load: Load, record_property: Record) -> None:
    disturbances = Disturbances(project, load, record_property)
    freeze_one_split(project, load, record_property)
    recreate = ("up", "--detach", "--no-deps", "--scale", "split=2", "--force-recreate")
    disturbances.disturb("split", *recreate, exit_code="0")
    disturbances.disturb("split", "kill", exit_code="137", again=recreate)
    freeze_all(project, load, record_property)
    for service in SERVICES:
        crash(disturbances, service)
    finish(project, load, record_property)


def freeze_one_split(project: Project, load: Load, record_property: Record) -> None:
    """Another replica takes over from a frozen one, which is a zombie when it wakes up and does no harm."""
    frozen, other = (container.name for container in project.containers("split"))
    pending = []

    def taken_over() -> bool:
        pending.append(load.pending("split"))
        return len(last_assigned(other)) == PARTITIONS

    with load.ahead_of("split"):
        wait_until(lambda: bool(last_assigned(frozen) and last_assigned(other)), "both have partitions")
        load.wait_for_more("split", load.done("split"))
        docker("pause", frozen)
    record_property("split: seconds until a frozen replica's work is taken over", wait_until(taken_over, "take-over"))
    record_property("split: frozen: pending, rows", pending[-1])
    assert pending[-1] > 1_000
    with load.ahead_of("split"):
        load.wait_for_more("split", load.done("split"))
        docker("unpause", frozen)
    assert load.pending("split") > 1_000
    wait_until(
        lambda: len(last_assigned(frozen)) == len(last_assigned(other)) == PARTITIONS // 2, "they share the work again"
    )


def freeze_all(project: Project, load: Load, record_property: Record) -> None:
    """Every service is frozen until the broker takes it for dead, and goes on by itself."""
    groups = [f"nacre.{service}" for service in SERVICES]

    def all_gone() -> bool:
        described = load.observer.admin.describe_consumer_groups(groups).values()
        return not any(group.result().members for group in described)

    with load.ahead_of("ingest"):
        load.wait_for_more("sink", load.done("sink"))
        project.compose("pause", *SERVICES)
    record_property("paused: until the groups are empty, s", wait_until(all_gone, "the groups are empty"))
    done = {service: load.done(service) for service in SERVICES}
    for service in SERVICES:
        record_property(f"{service}: paused: pending, rows", load.pending(service))
    began = time.monotonic()
    project.compose("unpause", *SERVICES)
    for service in reversed(SERVICES):
        load.wait_for_more(service, done[service])
        record_property(f"{service}: unpause to next row, at most, s", time.monotonic() - began)


def crash(disturbances: Disturbances, service: str) -> None:
    """A process killed from outside, as by the kernel for its memory, is started again by Docker."""
    load, project = disturbances.load, disturbances.project
    [victim, *_] = [container.name for container in project.containers(service)]
    process = docker("inspect", "--format", "{{.State.Pid}}", victim).strip()
    with load.ahead_of(service):
        load.wait_for_more(service, load.done(service))
        began = time.time()
        kill = f"import os; os.kill({process}, 9)"
        docker("run", "--rm", "--pid", "host", "--user", "0", "--entrypoint", "python", f"nacre-{service}", "-c", kill)
        wait_until(lambda: bool(disturbances.events(service, "start", began)), f"{service} is started again")
    done = load.done(service)
    [end] = disturbances.events(service, "die", began)
    assert end.exit_code == "137"
    load.wait_for_more(service, done)
    disturbances.record(f"{service}: crash to next row, s", time.time() - end.at)


def finish(project: Project, load: Load, record_property: Record) -> None:
    """All is carried, nothing is left open or behind, and every file is what a filter over the input makes."""
    began = time.monotonic()
    expected_size = 3 * load.input.size
    wait_until(lambda: project.output_size() >= expected_size, "all rows are written", 120)
    for topic in ("rows", "categorized", "progress", "rejected"):
        wait_until(
            lambda topic=topic: load.observer.ends(topic, committed=True) == load.observer.ends(topic),  # type: ignore[misc]
            f"no transaction is open in {topic}",
            5,
        )
    record_property("until all is written, s", time.monotonic() - began)
    project.compose("stop", *SERVICES)
    for container in project.containers(*SERVICES):
        assert (container.running, container.exit_code) == (False, 0), container.name
    left = {path.suffix for path in (project.out / ".nacre").iterdir()}
    assert left == {".ledger", ".lock"}
    check_files(project)
    record_property("all, s", time.monotonic() - began)


def check_files(project: Project) -> None:
    """In every file the rows of each source are those that a filter over the source makes, in their order."""
    expected: dict[str, dict[bytes, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for name in SOURCES:
        header, *rows = project.data.joinpath(f"{name}.csv").read_bytes().splitlines()
        source = name.encode()
        for row in rows:
            fields = row.split(b",", 9)
            expected[f"Sex/{fields[0].decode()}.csv"][source].append(row)
            expected[f"Rings/{fields[8].decode()}.csv"][source].append(row)
        expected["all.csv"][source] = rows
    output = project.output()
    assert output.keys() == expected.keys()
    for path, content in output.items():
        first, *rows = content.removesuffix(b"\n").split(b"\n")
        assert first == header
        found: dict[bytes, list[bytes]] = defaultdict(list)
        for row in rows:
            found[row.rsplit(b",", 2)[1]].append(row)
        for source, wanted in expected[path].items():
            # Not compared by assert itself: its account of two large lists takes minutes.
            same = found.pop(source, []) == wanted
            assert same, f"{path}: rows of {source.decode()} are missing, repeated, changed or out of order"
        assert not found, path
