"""`python -m benchmarks.watching [--rows N] [--rounds N]`: what HTTP_PORT, and being asked there, costs the services.

Three ways take turns: without HTTP_PORT; with it; and with it while each service is asked for /metrics and /readyz
every half second, ten times as often as Prometheus and Docker do. Each carries the same rows, and then is at rest.
Medians of the rounds, of all three services together. Also written to benchmarks/results/watching.json.
"""

import argparse
import socket
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.contenders import STAGES
from benchmarks.inputs import write_rows
from benchmarks.kept import keep
from benchmarks.processes import Service, bytes_in, running
from benchmarks.tables import table
from ops.kafka.local import LocalKafka

_HOST = "127.0.0.1"
_WAYS = ("HTTP_PORT=0", "HTTP_PORT", "HTTP_PORT, asked every 0.5 s")
_ASK_INTERVAL_S = 0.5
_AT_REST_S = 10.0


class Spent(NamedTuple):
    """What all three services took: CPU until ready, rows a second and CPU while they carry them, CPU a second at rest.

    And what memory they had in the end.
    """

    start_s: float
    rows_per_s: float
    cpu_s: float
    rest_s: float
    mib: float


@contextmanager
def asking(ports: Sequence[int]) -> Iterator[None]:
    """Ask at all of these ports meanwhile."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(_ASK_INTERVAL_S):
            for port in ports:
                for page in ("metrics", "readyz"):
                    # A service that is not ready answers 503, which is raised, and one that starts does not listen yet.
                    with suppress(OSError), urllib.request.urlopen(f"http://{_HOST}:{port}/{page}") as answer:
                        answer.read()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Rows(NamedTuple):
    """How many rows are in a file, and the bytes that come out."""

    path: Path
    number: int
    expected_bytes: int


def measure(kafka: LocalKafka, folder: Path, way: str, rows: Rows, name: str) -> Spent:
    """Carry the rows of the file once, and rest."""
    given, output = folder / name / "in", folder / name / "out"
    given.mkdir(parents=True)
    ports = [0] * len(STAGES) if way == _WAYS[0] else free_ports(len(STAGES))
    with (
        running(kafka, f"{name}.", given, output, ports=ports, HTTP_HOST=_HOST) as services,
        asking(ports) if way == _WAYS[2] else nullcontext(),
    ):
        for service in services:
            service.wait_for("ready")
        ready_s, began = processor_s(services), time.perf_counter()
        (given / rows.path.name).hardlink_to(rows.path)
        services[-1].wait_until(lambda: bytes_in(output.glob("Sex/*.csv")) >= rows.expected_bytes)
        took_s, done_s = time.perf_counter() - began, processor_s(services)
        time.sleep(_AT_REST_S)
        rest_s = processor_s(services) - done_s
        mib = sum(service.memory_mib("RssAnon") for service in services)
        for service in services:
            service.stop()
    rmtree(folder / name)
    return Spent(ready_s, rows.number / took_s, done_s - ready_s, rest_s / _AT_REST_S, mib)


def processor_s(services: Sequence[Service]) -> float:
    """How long all of these have used a processor."""
    return sum(service.processor_s() for service in services)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    with ExitStack() as held:
        found = [held.enter_context(socket.create_server((_HOST, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in found]


def main() -> int:
    """Measure each way in each round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    spent: dict[str, list[Spent]] = {way: [] for way in _WAYS}
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        folder = Path(root)
        path = folder / "rows.csv"
        rows = Rows(path, asked.rows, write_rows(path, asked.rows))
        # A broker's first rows cost more than all later ones.
        measure(kafka, folder, _WAYS[0], rows, "warm")
        for turn in range(asked.rounds):
            for number in range(len(_WAYS)):
                way = _WAYS[(turn + number) % len(_WAYS)]
                spent[way].append(measure(kafka, folder, way, rows, f"{turn}-{number}"))
                sys.stderr.write(f"{way}: {spent[way][-1]}\n")
    columns = ("s of CPU until ready", "rows/s", "s of CPU meanwhile", "at rest, ms of CPU a second", "MiB")
    cells = ((way, *_cells(rounds)) for way, rounds in spent.items())
    sys.stdout.write(table(f"{asked.rows:,} rows", columns, cells))
    keep("watching", {way: [each._asdict() for each in rounds] for way, rounds in spent.items()})
    return 0


def _cells(rounds: Sequence[Spent]) -> list[str]:
    start_s, rate, cpu_s, rest_s, mib = map(statistics.median, zip(*rounds, strict=True))
    return [f"{start_s:.2f}", f"{rate:,.0f}", f"{cpu_s:.2f}", f"{1000 * rest_s:.1f}", f"{mib:.1f}"]


if __name__ == "__main__":
    sys.exit(main())
