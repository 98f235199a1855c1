"""`nacre demo` for real: it carries, proves, and leaves nothing behind however it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from ops.kafka import jars
from ops.kafka.local import LocalKafka
from tests.harness.processes import processes_naming
from tests.harness.terminal import Terminal

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "ops", "demo"]
SERVICES = ("ingest", "split", "sink")
# Long enough to be interrupted.
MANY_ROWS = "1000000"


@pytest.fixture(scope="module", autouse=True)
def _downloaded() -> None:
    """Keep the time of a first download out of the first test's."""
    jars.classpath()


def wait_until(condition: Callable[[], bool], deadline_s: float = 180.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


class Demo:
    """A running demo in a group of its own. Every process it starts names `folder` or `prefix`."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.temporary = folder / "temporary"
        self.output_dir = folder / "out"
        self.temporary.mkdir()
        surroundings = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
        self.process = subprocess.Popen(
            [*COMMAND, "--output-dir", str(self.output_dir), *arguments],
            cwd=PROJECT,
            env={**surroundings, "TMPDIR": str(self.temporary), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def await_kafka_starting(self) -> None:
        """Wait until its Kafka's data folder is being prepared."""
        wait_until(lambda: bool(processes_naming(f"-Djava.io.tmpdir={self.temporary}")))

    def await_rows_written(self) -> str:
        """Wait until rows are in the files; return the prefix of its topics, which every service is told."""
        wait_until((self.output_dir / "all.csv").exists, 180)
        [sink] = [each for each in processes_naming(str(self.output_dir)).values() if "services.sink" in each]
        found = re.search(r"--topic-prefix=(demo-\w+\.)", sink)
        assert found
        assert len(processes_naming(found[1])) == len(SERVICES)
        return found[1]

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; return the exit code, and what it wrote to standard output and error."""
        output, errors = self.process.communicate(timeout=180)
        return self.process.returncode, output, errors

    def assert_nothing_left(self, prefix: str = "") -> None:
        """Its output is all that is left."""
        assert not processes_naming(str(self.folder))
        assert not prefix or not processes_naming(prefix)
        assert not list(self.temporary.iterdir())


@contextmanager
def demo(folder: Path, *arguments: str, **environment: str) -> Iterator[Demo]:
    running = Demo(folder, *arguments, **environment)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def test_carries_the_rows_and_proves_it(tmp_path: Path) -> None:
    # So wide that the folder's name, as long as it is, breaks no line.
    with demo(tmp_path, SPLIT_BY="*,Sex,Rings:int", COLUMNS="400") as running:
        code, output, errors = running.end()
        assert (code, errors) == (0, "")
        lines = [" ".join(line.split()) for line in output.splitlines()]
        assert lines[0] == "data/abalone_full.csv: 4,177 rows"
        assert [line for line in lines if line in ("ingest 4,177 rows", "split 4,177 rows", "sink 12,531 rows")]
        assert "Sex 3 4,177 M=1,528 I=1,342 F=1,307" in lines
        assert "✓ in 4,177 = out 4,177 + rejected 0, the same rows, in each of 3 splits" in lines
        assert "✓ 32 files, each with the header of data/abalone_full.csv" in lines
        assert "all.csv equals data/abalone_full.csv byte for byte (sha256 6fda3c4b…)" in " ".join(lines)
        assert any(line.endswith("all of data/abalone_full.csv is safe, in each of 3 splits") for line in lines)
        assert (tmp_path / "out" / "all.csv").read_bytes() == (PROJECT / "data" / "abalone_full.csv").read_bytes()
        running.assert_nothing_left()


def test_uses_the_broker_that_the_environment_names_and_leaves_no_topics(tmp_path: Path) -> None:
    with LocalKafka() as kafka, demo(tmp_path, KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap) as running:
        code, output, errors = running.end()
        assert (code, errors) == (0, "")
        assert f"Kafka at {kafka.bootstrap}, as KAFKA_BOOTSTRAP_SERVERS says" in output
        topics = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=30).topics
        assert not [name for name in topics if name.startswith("demo-")]
        running.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_kafka_starts_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path) as running:
        running.await_kafka_starting()
        os.killpg(running.process.pid, number)
        code, _, errors = running.end()
        assert (code, errors) == (128 + number, "nacre demo: interrupted, everything is stopped\n")
        running.assert_nothing_left()


def test_ctrl_c_while_rows_are_carried_stops_every_service(tmp_path: Path) -> None:
    with demo(tmp_path, "--rows", MANY_ROWS) as running:
        prefix = running.await_rows_written()
        os.killpg(running.process.pid, signal.SIGINT)
        code, _, errors = running.end()
        assert (code, errors) == (130, "nacre demo: interrupted, everything is stopped\n")
        running.assert_nothing_left(prefix)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process ask to end with its parent")
def test_the_services_end_with_a_demo_that_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path, "--rows", MANY_ROWS) as running:
        prefix = running.await_rows_written()
        running.process.kill()
        wait_until(lambda: not processes_naming(prefix) and not processes_naming(str(tmp_path)))


def test_a_service_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with demo(tmp_path, "--rows", MANY_ROWS) as running:
        prefix = running.await_rows_written()
        [split] = [pid for pid, command in processes_naming(prefix).items() if "services.split" in command]
        os.kill(split, signal.SIGKILL)
        code, _, errors = running.end()
        assert code == 1
        assert errors.startswith("nacre demo: split ended with exit code -9; the end of its log:\n")
        assert "partition taken up" in errors
        running.assert_nothing_left(prefix)


def test_services_that_are_killed_again_and_again_lose_and_double_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--kill", SPLIT_BY="*,Sex", COLUMNS="400") as running:
        code, output, errors = running.end()
        assert (code, errors) == (0, "")
        [line] = [line for line in output.splitlines() if "killed with -9 and started again" in line]
        assert sum(map(int, re.findall(r"(?:ingest|split|sink) (\d+)", line))) > 0
        assert "in 1,000,000 = out 1,000,000 + rejected 0, the same rows, in each of 2 splits" in output
        assert "nacre verify: all is well: 4 files" in output
        running.assert_nothing_left()


def on_terminal(folder: Path, *arguments: str) -> Terminal:
    """A demo on a terminal."""
    (folder / "temporary").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    command = [*COMMAND, "--output-dir", str(folder / "out"), *arguments]
    return Terminal(command, {**environment, "TMPDIR": str(folder / "temporary")}, PROJECT, (100, 40))


def test_on_a_terminal_it_shows_the_live_view_and_then_the_proof(tmp_path: Path) -> None:
    with on_terminal(tmp_path) as terminal:
        terminal.wait_for("2 categories")
        assert terminal.process.wait(180) == 0
        assert terminal.settings() == terminal.before
    _, _, proof = terminal.written.decode().rpartition("\x1b[?1049l")
    assert "sink    20,885 rows" in proof
    assert "in 4,177 = out 4,177 + rejected 0, the same rows, in each of 5 splits" in proof
    assert not processes_naming(str(tmp_path))


def test_ctrl_c_on_a_terminal_stops_everything_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with on_terminal(tmp_path, "--rows", MANY_ROWS) as terminal:
        terminal.wait_for("rows read")
        terminal.press("\x03")
        assert terminal.process.wait(180) == 130
        assert terminal.settings() == terminal.before
    assert "nacre demo: interrupted, everything is stopped" in terminal.written.decode()
    assert not processes_naming(str(tmp_path))
    assert not list((tmp_path / "temporary").iterdir())
