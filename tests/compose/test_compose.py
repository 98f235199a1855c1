"""`docker compose` as a user runs it: up, scaled, stopped, begun again; and single images with `docker run`."""

import json
import os
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest

from tests.harness.compose_project import ROOT, SERVICES, Project, docker, events, last_assigned, wait_until

# The first test builds the images too.
pytestmark = pytest.mark.timeout(400)

ABALONE = (ROOT / "data" / "abalone_full.csv").read_bytes()
PARTITIONS = 6
SOMEBODY = 12345
# What a container that has no curl prints its metrics with.
METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9000/metrics').read().decode())"

Record = Callable[[str, object], None]
# By file, by source: the rows.
Rows = dict[str, dict[bytes, list[bytes]]]


def split_simply(source: bytes) -> dict[str, bytes]:
    """What SPLIT_BY=*,Sex,Rings:int makes of one source: each file's header and rows, by path."""
    header, *rows = source.splitlines(keepends=True)
    files: dict[str, list[bytes]] = defaultdict(lambda: [header])
    for row in rows:
        fields = row.decode().rstrip("\n").split(",")
        for path in ("all.csv", f"Sex/{fields[0]}.csv", f"Rings/{fields[8]}.csv"):
            files[path].append(row)
    return {path: b"".join(lines) for path, lines in files.items()}


def make_source(name: str, count: int, first: int = 0) -> bytes:
    """Abalone's rows, again and again, each with its source's name and its number behind it; without a header."""
    rows = ABALONE.splitlines()[1:]
    return b"".join(b"%s,%s,%d\n" % (rows[i % len(rows)], name.encode(), i) for i in range(first, first + count))


def rows_by_source(files: Iterable[tuple[str, bytes]], header: bytes) -> Rows:
    """The rows of each file in their order within each source; what is not whole, as amid a write, is under `b""`."""
    rows: Rows = {}
    for path, content in files:
        sources = rows.setdefault(path, defaultdict(list))
        first, *others = content.splitlines(keepends=True) or [b""]
        if first != header:
            sources[b""].append(first)
        for row in others:
            fields = row.split(b",")
            sources[fields[9] if len(fields) == 11 and row.endswith(b"\n") else b""].append(row)
    return rows


@pytest.fixture
def owner(project: Project) -> int:
    """Who has cloned the project: never root, since root may write and delete anything."""
    if os.getuid() != 0:
        return os.getuid()
    os.chown(project.folder, SOMEBODY, SOMEBODY)
    return SOMEBODY


def test_up_writes_every_category_and_the_host_owns_the_output(
    project: Project, owner: int, record_property: Record
) -> None:
    shutil.copy(ROOT / "data" / "abalone_full.csv", project.data)
    expected = split_simply(ABALONE)
    began = time.monotonic()
    project.compose("up", "--detach", "--wait")
    wait_until(lambda: project.output() == expected, "the output equals a simple filter over the input")
    record_property("compose up to the last row, s", time.monotonic() - began)
    assert project.output()["all.csv"] == ABALONE
    assert {container.user for container in project.containers(*SERVICES)} == {"10001:10001"}

    # Kafka's data is gone, out/ is not: what is in it is of another cluster, and must neither grow nor change.
    project.compose("down", "--volumes")
    (project.data / "new.csv").write_bytes(ABALONE)
    project.compose("up", "--detach")
    wait_until(lambda: "holds the output of Kafka cluster" in project.compose("logs", "sink"), "sink refuses out/")
    assert project.output() == expected

    project.compose("down", "--volumes")
    assert project.out.stat().st_uid == owner
    identity = {"user": owner, "group": owner} if os.getuid() == 0 else {}
    subprocess.run(["rm", "-r", "out"], cwd=project.folder, check=True, **identity)  # type: ignore[call-overload]
    assert not project.out.exists()


def test_scaled_up_stopped_and_started_again(project: Project, record_property: Record) -> None:
    header = ABALONE.splitlines()[0] + b",Source,Number\n"
    names = [f"s{number}" for number in range(6)]
    inputs = {name: header + make_source(name, 8_400) for name in names}
    for name, content in inputs.items():
        (project.data / f"{name}.csv").write_bytes(content)

    def expected() -> Rows:
        files = ((path, part) for content in inputs.values() for path, part in split_simply(content).items())
        return rows_by_source(files, header)

    def written() -> Rows:
        return rows_by_source(project.output().items(), header)

    def wait_until_written() -> None:
        rows = expected()
        wait_until(
            lambda: written() == rows, "the output equals a simple filter over the input, in each source's order"
        )

    project.compose("up", "--detach", "--scale", "split=3", "--scale", "sink=2")
    wait_until(lambda: project.out.exists() and project.output_size() > 0, "the first rows are written")
    stop_all(project, record_property)

    project.compose("start")
    wait_until_written()
    for service, replicas, partitions in (("split", 3, PARTITIONS), ("sink", 2, PARTITIONS + 1)):
        assert_shared(project, service, replicas, partitions)

    inputs["s0"] += make_source("s0", 1_000, first=8_400)
    with (project.data / "s0.csv").open("ab") as file:
        file.write(make_source("s0", 1_000, first=8_400))
    wait_until_written()
    stop_all(project, record_property)
    # Nothing has come behind what was expected.
    assert written() == expected()


def stop_all(project: Project, record_property: Record) -> None:
    """Stop the project; every replica of the services has to leave with 0 within seconds."""
    began = time.time()
    project.compose("stop")
    record_property("compose stop with Kafka, s", time.time() - began)
    for service in SERVICES:
        for container in project.containers(service):
            assert (container.running, container.exit_code) == (False, 0), container.name
            assert container.finished_at - began < 6, container.name
            record_property(f"{service} ended after compose stop, s", max(0.0, container.finished_at - began))


def assert_shared(project: Project, service: str, replicas: int, partitions: int) -> None:
    """Every replica has to have partitions, and every partition one replica."""
    names = [container.name for container in project.containers(service)]
    assert len(names) == replicas

    def shared() -> bool:
        given = [last_assigned(name) for name in names]
        every = [partition for share in given for partition in share]
        return all(given) and len(every) == len(set(every)) == partitions

    wait_until(shared, f"{replicas} {service} share {partitions} partitions")


def test_a_service_is_healthy_while_it_is_ready_and_its_health_check_says_why_it_is_not(project: Project) -> None:
    def healths() -> dict[str, str]:
        return {container.name: container.health for container in project.containers(*SERVICES)}

    # Each container listens at the same port, on an address of its own.
    project.compose("up", "--detach", "--wait", "--scale", "split=2", "--scale", "sink=2")
    assert list(healths().values()) == ["healthy"] * 5
    project.compose("stop", "kafka")
    wait_until(lambda: set(healths().values()) == {"unhealthy"}, "none is healthy without a broker")
    for container in project.containers(*SERVICES):
        told = json.loads(container.health_log)
        assert (told["ready"], bool(told["reason"])) == (False, True), container.name
    project.compose("start", "kafka")
    wait_until(lambda: set(healths().values()) == {"healthy"}, "all are healthy again")
    printed = project.compose("exec", "--no-TTY", "sink", "python", "-c", METRICS)
    assert "nacre_ready 1.0" in printed


def test_run_of_single_images_against_any_broker(project: Project) -> None:
    project.compose("up", "--detach", "--wait", "kafka")
    network = f"{project.name}_default"
    at_kafka = ("--network", network, "--env", "KAFKA_BOOTSTRAP_SERVERS=kafka:9092")
    split, sink = f"{project.name}-split", f"{project.name}-sink"
    try:
        docker("run", "--detach", "--name", split, *at_kafka, "--env", "EXIT_WHEN_DONE=true",
               "nacre-split", "--split-by", "*,Sex,Rings:int")  # fmt: skip
        docker("run", "--detach", "--name", sink, *at_kafka, "nacre-sink", "--exit-when-done")
        docker("run", "--rm", "--interactive", *at_kafka, "nacre-ingest", "-", given=ABALONE)
        assert docker("wait", split, sink, timeout_s=60).split() == ["0", "0"], events(split) + events(sink)
        docker("cp", f"{sink}:/out", str(project.out))
    finally:
        docker("rm", "--force", "--volumes", split, sink)
    assert project.output() == split_simply(ABALONE)


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("service", SERVICES)
def test_image_is_small_and_not_root(service: str) -> None:
    def run(*command: str) -> str:
        return docker("run", "--rm", "--entrypoint", command[0], f"nacre-{service}", *command[1:])

    assert run("id", "-u").strip() == "10001"
    assert set(run("ls", "/app/services").split()) == {"__init__.py", service}
    assert run("python", "-c", "import importlib.util; print(importlib.util.find_spec('pip'))").strip() == "None"
    assert run("find", "/app", "/venv", "-writable", "-not", "-type", "l").strip() == ""


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    ("service", "setting"), [("ingest", "--once"), ("split", "--split-by"), ("sink", "--output-dir")]
)
def test_help_of_an_image_tells_its_settings(service: str, setting: str) -> None:
    printed = docker("run", "--rm", f"nacre-{service}", "--help")
    assert setting in printed
    assert "--kafka-bootstrap-servers" in printed


def test_settings_and_folders_come_from_the_environment(project: Project) -> None:
    configuration = project.compose(
        "config", "--format", "json", SPLIT_BY="Sex+Rings", DATA_DIR="rows", OUTPUT_DIR="../results", RUN_AS="1234:1234"
    )
    for expected in ('"Sex+Rings"', f'"{project.folder}/rows"', f'"{project.folder.parent}/results"', '"1234:1234"'):
        assert expected in configuration
