"""`nacre top` on real terminals and in pipes: it outlives its broker, and ends at once with the terminal as it was."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.pipeline import PROJECT, Pipeline
from tests.harness.terminal import Terminal

COMMAND = [sys.executable, "-m", "ops", "top", "--interval-s", "0.1"]
SMALL, LARGE = (80, 24), (200, 60)
LEAVES_THE_SCREEN = b"\x1b[?1049l"
HEADER = b"Sex,Rings\n"


@pytest.mark.alone
@pytest.mark.parametrize("way", ["q", "\x03", signal.SIGTERM, signal.SIGHUP])
def test_while_the_broker_hangs_it_ends_at_once_and_leaves_the_terminal_as_it_was(
    way: str | signal.Signals,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap, "TOPIC_PREFIX": "top."}
        with Terminal(COMMAND, environment, PROJECT, SMALL) as terminal:
            terminal.wait_for("looking for the first figures")
            # It has asked, and waits for the answer.
            with silent.accept()[0]:
                assert terminal.settings() != terminal.before
                began = time.monotonic()
                if isinstance(way, str):
                    terminal.press(way)
                else:
                    terminal.process.send_signal(way)
                assert terminal.process.wait(60) == 0
                assert time.monotonic() - began < 10
                assert terminal.settings() == terminal.before
        assert LEAVES_THE_SCREEN in terminal.written


def test_it_outlives_its_broker(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n" * 1_234)
    with Terminal(COMMAND, pipeline.environment, PROJECT, LARGE) as terminal:
        terminal.wait_for("nothing is begun")
        pipeline.run(source, "*,Sex")
        terminal.wait_for("safe 2,468 of 2,468 in 2 splits")
        own_kafka.kill()
        terminal.wait_for("no figures: ")
        own_kafka.start()
        with source.open("ab") as file:
            file.write(b"F,2\n" * 1_000)
        pipeline.run(source, "*,Sex")
        terminal.wait_for("safe 4,468 of 4,468 in 2 splits")
        terminal.press("q")
        assert terminal.process.wait(60) == 0


def test_in_a_pipe_it_prints_lines(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "a\x1b[2J.csv"
    source.write_bytes(HEADER + b"M,1\nF,none\n")
    pipeline.run(source, "Sex,Rings:int", MAX_REJECTED="100%")
    watching = subprocess.Popen(
        COMMAND, cwd=PROJECT, env=pipeline.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    lines: list[str] = []
    # The second look begins with the first line again.
    while not lines or lines.count(lines[0]) < 2:
        lines.append(watching.stdout.readline().rstrip("\n"))
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=60)
    assert (watching.returncode, errors) == (0, "")
    assert all(line.isprintable() for line in lines)
    assert "sent 2; safe 4 of 4 in 2 splits; oldest row not safe: none" in lines
    words = [line.split() for line in lines]
    assert ["Sex", "M", "1"] in words
    assert ["Rings", "number", "1"] in words
    assert ["Rings", "2", "0", "1", "1", "0", "0"] in words
    assert any(each[:2] == ["2", "1"] and each[-1].endswith("/a\\x1b[2J.csv") for each in words)


def test_a_reader_that_leaves_ends_it(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(HEADER + b"M,1\n")
    pipeline.run(source, "Sex")
    watching = subprocess.Popen(
        [*COMMAND, "--plain"], cwd=PROJECT, env=pipeline.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert watching.stdout is not None
    assert watching.stdout.readline() == f"{pipeline.prefix}* at {pipeline.bootstrap}: ok\n".encode()
    watching.stdout.close()
    assert watching.wait(60) == 0
    assert watching.stderr is not None
    assert watching.stderr.read() == b""
    watching.stderr.close()
