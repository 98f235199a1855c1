"""Services whose standard streams are closed, or take nothing, from their start on."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from functools import partial

import pytest

from tests.harness.broker import free_port
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, PROJECT, SERVICES, Pipeline, wait_until

pytestmark = pytest.mark.long


def fill(descriptor: int) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)


# What a shell makes of `<&-`, `>&-` and `2>&-`, and of `2>/dev/full`.
STREAMS: dict[str, Callable[[], None]] = {
    "all closed": partial(os.closerange, 0, 3),
    "input closed": partial(os.close, 0),
    "output closed": partial(os.close, 1),
    "error closed": partial(os.close, 2),
    "error full": lambda: fill(2),
}


def start(name: str, streams: str, **settings: str) -> "subprocess.Popen[bytes]":
    """A service whose streams are made so before it begins."""
    return subprocess.Popen(
        [sys.executable, "-m", f"services.{name}"],
        cwd=PROJECT,
        env={**os.environ, **settings},
        preexec_fn=STREAMS[streams],  # noqa: PLW1509 - nothing else closes them before Python begins
    )


@pytest.mark.parametrize("streams", ["all closed", "error full"])
def test_services_work_and_end_with_0(pipeline: Pipeline, streams: str) -> None:
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": pipeline.bootstrap,
        "TOPIC_PREFIX": pipeline.prefix,
        "OUTPUT_DIR": str(pipeline.output),
        "INPUT": str(ABALONE_FILE),
        "ONCE": "true",
        "EXIT_WHEN_DONE": "true",
        "SPLIT_BY": "Sex",
    }
    running = [start(name, streams, **settings) for name in SERVICES]
    try:
        wait_until(lambda: all(process.poll() is not None for process in running), "all end", 60)
    finally:
        for process in running:
            process.kill()
    assert [process.wait() for process in running] == [0, 0, 0]
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


@pytest.mark.parametrize("streams", STREAMS)
def test_a_refusal_keeps_its_exit_code(streams: str) -> None:
    assert start("sink", streams, PARTITIONS="0").wait(30) == 78


@pytest.mark.parametrize("streams", STREAMS)
def test_an_error_keeps_its_exit_code(streams: str) -> None:
    assert start("ingest", streams, INPUT="/nowhere/rows.csv").wait(30) == 78


def take_terminal() -> None:
    """Lead a session whose terminal is the standard input, as a shell does."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Whatever started the tests may have set it otherwise.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_terminal_that_closes_drains_a_service() -> None:
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.split", "--split-by", "Sex"],
        cwd=PROJECT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        preexec_fn=take_terminal,  # noqa: PLW1509 - nothing else gives it a terminal
    )
    os.close(terminal)
    seen = b""
    while b"not ready" not in seen:
        seen += os.read(screen, 4096)
    os.close(screen)
    assert process.wait(30) == 0
