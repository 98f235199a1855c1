"""`ops.kafka.local` runs a real Kafka, and leaves nothing behind however it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jgo.maven._core
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # it is in their manual
from confluent_kafka.cimpl import NewTopic

from ops.kafka import jars
from ops.kafka import settings as kafka_settings
from ops.kafka.jars import LocalKafkaError
from ops.kafka.local import LocalKafka
from ops.kafka.warm_start import warm_up
from tests.harness.processes import processes_naming
from tests.harness.running_brokers import KAFKAS_OWN_DEFAULTS

pytestmark = pytest.mark.long


PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "ops", "kafka"]
READY = re.compile(r"Kafka 4\.3\.0 ready at (\S+):(\d+) \(data: (\S+), (removed at exit|kept)\)\n")
TOPIC = "greetings"
# How soon a broker may come back after a kill.
SHORT_SESSION = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "200"}


@pytest.fixture(scope="module", autouse=True)
def _downloaded() -> None:
    """Keep the time of a first download out of the first test's."""
    jars.classpath()


def wait_until(condition: Callable[[], bool], deadline_s: float = 180.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def produce(bootstrap: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if TOPIC not in admin.list_topics(timeout=30).topics:
        admin.create_topics([NewTopic(TOPIC, num_partitions=1)])[TOPIC].result(30)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(TOPIC, value)
    assert producer.flush(30) == 0


def consume(bootstrap: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "readers", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    try:
        return [message.value() for message in consumer.consume(count, timeout=180)]
    finally:
        consumer.close()


@contextmanager
def command(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ready_line(process: subprocess.Popen[str]) -> re.Match[str]:
    assert process.stdout is not None
    ready = READY.fullmatch(process.stdout.readline())
    assert ready
    return ready


def test_starts_on_a_free_port_answers_and_removes_its_data_at_the_end() -> None:
    with LocalKafka() as kafka:
        produce(kafka.bootstrap, b"hello")
        assert consume(kafka.bootstrap, 1) == [b"hello"]
        assert kafka.data_dir.is_dir()
    assert not kafka.data_dir.exists()
    assert not processes_naming(str(kafka.data_dir))


def test_without_preferences_a_broker_is_as_kafkas_own_defaults_make_it_but_for_what_a_single_node_needs() -> None:
    with LocalKafka(preferences=KAFKAS_OWN_DEFAULTS) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        broker = ConfigResource(ConfigResource.Type.BROKER, "1")
        entries = admin.describe_configs([broker])[broker].result(30)
    set_here = {name for name, entry in entries.items() if not entry.is_default and "listener" not in name}
    copies = {name for name in set_here if name.endswith((".replication.factor", ".min.isr"))}
    needed = {"process.roles", "node.id", "log.dirs", "controller.quorum.bootstrap.servers"}
    # These two the node sets by itself.
    assert set_here - copies - needed == {"broker.id", "min.insync.replicas"}
    assert entries["auto.create.topics.enable"].value == "true"
    assert entries["group.initial.rebalance.delay.ms"].value == "3000"


def test_a_killed_broker_starts_again_on_its_port_with_its_data() -> None:
    with LocalKafka(config=SHORT_SESSION) as kafka:
        bootstrap = kafka.bootstrap
        produce(bootstrap, b"before the crash")
        kafka.kill()
        host, _, port = bootstrap.partition(":")
        assert not listens(host, int(port))
        kafka.start()
        assert kafka.bootstrap == bootstrap
        produce(bootstrap, b"after it")
        assert consume(bootstrap, 2) == [b"before the crash", b"after it"]


def test_a_broker_begins_with_the_classes_that_are_kept_of_one_before() -> None:
    warm_up()
    [option] = jars.kept_classes_options()
    with LocalKafka() as kafka:
        commands = processes_naming(str(kafka.data_dir)).values()
        [broker] = [command for command in commands if command.startswith(str(jars.java()))]
        log = (kafka.data_dir / "broker.log").read_text()
    assert option in broker
    # Java says so where it cannot use them.
    assert "[aot]" not in log
    assert "[cds]" not in log


def test_a_named_data_folder_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    with LocalKafka(data_dir=tmp_path / "dätä") as kafka:
        produce(kafka.bootstrap, b"first run")
    with LocalKafka(data_dir=tmp_path / "dätä") as kafka:
        assert consume(kafka.bootstrap, 1) == [b"first run"]


def test_a_format_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    properties = kafka_settings.properties_text(kafka_settings.broker_properties(0, {}))
    (tmp_path / kafka_settings.PROPERTIES_NAME).write_text(properties)
    format_command = kafka_settings.format_command(jars.java(), jars.classpath(), tmp_path)
    subprocess.run(format_command, cwd=tmp_path, check=True, capture_output=True)
    # Formatting writes this file last.
    (tmp_path / kafka_settings.DATA_NAME / "meta.properties").unlink()
    with LocalKafka(data_dir=tmp_path) as kafka:
        produce(kafka.bootstrap, b"as if nothing had happened")


def test_dies_with_its_parent_when_that_is_killed() -> None:
    with command() as process:
        host, port, folder, _ = ready_line(process).groups()
        assert processes_naming(folder)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not processes_naming(folder))
        wait_until(lambda: not listens(host, int(port)))
        wait_until(lambda: not Path(folder).exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process ask to die with its parent")
def test_the_broker_dies_with_a_killed_supervisor_and_starts_again() -> None:
    with LocalKafka(config=SHORT_SESSION) as kafka:
        folder = str(kafka.data_dir)
        [supervisor] = [pid for pid, command in processes_naming(folder).items() if "supervise" in command]
        os.kill(supervisor, signal.SIGKILL)
        with pytest.raises(LocalKafkaError, match="ended by itself"):
            kafka.wait()
        host, _, port = kafka.bootstrap.partition(":")
        wait_until(lambda: not listens(host, int(port)))
        kafka.start()
        assert processes_naming(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_kafka_is_and_exits_0_on(number: signal.Signals, tmp_path: Path) -> None:
    arguments = ("--data-dir", str(tmp_path), "--config", "num.partitions=3") if number == signal.SIGINT else ()
    with command(*arguments) as process:
        host, port, folder, fate = ready_line(process).groups()
        assert fate == ("kept" if arguments else "removed at exit")
        assert listens(host, int(port))
        process.send_signal(number)
        rest, errors = process.communicate(timeout=180)
        assert (process.returncode, rest, errors) == (0, "", "")
        assert not processes_naming(folder)
        assert Path(folder).exists() == bool(arguments)


def test_a_signal_while_starting_leaves_nothing_behind(tmp_path: Path) -> None:
    with command(TMPDIR=str(tmp_path)) as process:
        wait_until(lambda: bool(processes_naming(f"-Djava.io.tmpdir={tmp_path}")))
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=180) == ("", "")
        assert process.returncode == 0
    assert not list(tmp_path.iterdir())
    assert not processes_naming(str(tmp_path))


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command("--port", str(port)) as process:
            output, errors = process.communicate(timeout=180)
    assert (process.returncode, output) == (1, "")
    assert errors == f"nacre kafka: port {port} cannot be used: Address already in use\n"


def test_a_broker_that_cannot_start_says_why() -> None:
    kafka = LocalKafka(config={"log.retention.ms": "forever"})
    with pytest.raises(LocalKafkaError, match=r"(?s)ended before it was ready.*forever"), kafka:
        pass
    assert not kafka.data_dir.exists()


def test_without_network_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with command(XDG_CACHE_HOME=str(tmp_path), HTTPS_PROXY=proxy, https_proxy=proxy, NO_PROXY="") as process:
        output, errors = process.communicate(timeout=180)
    assert (process.returncode, output) == (1, "")
    progress, error = errors.splitlines()
    assert progress == "downloading Kafka 4.3.0 (45 MB), this once"
    assert re.fullmatch(r"nacre kafka: cannot download Kafka 4\.3\.0: .*; run it again .*", error)
    assert not list(tmp_path.rglob("*.jar"))


class Mirror(SimpleHTTPRequestHandler):
    """Serves downloaded jars under their repository paths; the first answers to `cut_short` end too early."""

    served: list[str]
    cut_short: set[str]

    def do_GET(self) -> None:
        """Answer with the jar of that name, whatever its folder."""
        jar = Path(self.directory) / Path(self.path).name
        content = jar.read_bytes() if jar.exists() else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if jar.name in self.cut_short:
            self.cut_short.discard(jar.name)
            content = content[:1000]
        elif content:
            self.served.append(jar.name)
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output to what the tests say."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Mirror]]:
    """Put a repository on this machine in the place of the real one, and empty the cache."""
    folder = Path(jars.classpath().split(os.pathsep)[0]).parent
    monkeypatch.setattr(Mirror, "served", [], raising=False)
    monkeypatch.setattr(Mirror, "cut_short", set(), raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Mirror, directory=str(folder))) as server:
        Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setitem(jgo.maven._core.DEFAULT_REMOTE_REPOS, "central", url)  # noqa: SLF001 - as its default
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield Mirror
        server.shutdown()


def test_a_download_cut_short_fails_and_the_next_one_completes_it(mirror: type[Mirror]) -> None:
    mirror.cut_short = {"kafka-clients-4.3.0.jar"}
    with pytest.raises(LocalKafkaError, match="cannot download"):
        jars.classpath()
    assert jars.download_needed()
    paths = jars.classpath().split(os.pathsep)
    assert all(Path(path).exists() for path in paths)
    assert sorted(mirror.served) == sorted(Path(path).name for path in paths)


def test_two_downloads_at_once_share_the_work(mirror: type[Mirror]) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: jars.classpath(), range(2))
    assert first == second
    assert len(mirror.served) == len(first.split(os.pathsep))
