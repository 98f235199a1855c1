"""Brokers that are not there, or do not answer."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.kafka.local import LocalKafka
from tests.harness.chaos.proxy import free_ports


def free_port() -> int:
    """A port that nothing listens on, and that no outgoing connection will take."""
    return free_ports(1)[0]


@contextmanager
def hanging(kafka: LocalKafka) -> Iterator[None]:
    """Stop the broker's process for this block: connections stay open and nothing answers."""
    pid = process_of(kafka)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def process_of(kafka: LocalKafka) -> int:
    """The id of the broker's own process, which is a child of the supervisor that this process started."""
    [pid] = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_broker(entry, f"tmpdir={kafka.data_dir}")
    ]
    return pid


def _is_broker(entry: Path, mark: str) -> bool:
    try:
        arguments = (entry / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        # The process has ended meanwhile.
        return False
    return any(mark in argument for argument in arguments) and "kafka.Kafka" in arguments
