"""Brokers that are not there, or do not answer."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from ops.kafka import LocalKafka


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def hanging(kafka: LocalKafka) -> Iterator[None]:
    """The broker stands still: connections stay open and nothing answers."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], check=True, capture_output=True, text=True)
    [pid] = [
        int(line.split()[0])
        for line in listing.stdout.splitlines()
        if f"tmpdir={kafka.data_dir}" in line and "kafka.Kafka" in line and "supervise" not in line
    ]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
