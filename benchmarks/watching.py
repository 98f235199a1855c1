"""`python -m benchmarks.watching [--rows N] [--rounds N]`: what HTTP_PORT, and being asked there, costs the services.

Three ways take turns: without HTTP_PORT; with it; and with it while each service is asked for /metrics and /readyz
every half second, ten times as often as Prometheus and Docker do. Each carries the same rows, and then is at rest.
Medians of the rounds, of all three services together. Also written to benchmarks/results/watching.json.
"""

import argparse
import json
import socket
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.contenders import STAGES
from benchmarks.memory import write_rows
from benchmarks.processes import Service
from ops.kafka.local import LocalKafka

_HOST = "127.0.0.1"
_WAYS = ("HTTP_PORT=0", "HTTP_PORT", "HTTP_PORT, asked every 0.5 s")
_ASK_INTERVAL_S = 0.5
_AT_REST_S = 10.0
_RESULTS = Path(__file__).parent / "results" / "watching.json"


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


def measure(kafka: LocalKafka, folder: Path, way: str, path: Path, rows: int, name: str) -> Spent:
    """Carry the rows of the file once, and rest."""
    with path.open("rb") as file:
        # A header in each of three files.
        expected_bytes = path.stat().st_size + 2 * len(file.readline())
    given, output = folder / name / "in", folder / name / "out"
    given.mkdir(parents=True)
    ports = [0] * len(STAGES) if way == _WAYS[0] else free_ports(len(STAGES))
    settings = {"INPUT": str(given), "SPLIT_BY": "Sex", "OUTPUT_DIR": str(output), "HTTP_HOST": _HOST}
    with ExitStack() as stack:
        services = [
            stack.enter_context(Service(stage, kafka, f"{name}.", HTTP_PORT=str(port), **settings))
            for stage, port in zip(STAGES, ports, strict=True)
        ]
        if way == _WAYS[2]:
            stack.enter_context(asking(ports))
        for service in services:
            service.wait_for("ready")
        ready_s, began = processor_s(services), time.perf_counter()
        (given / path.name).hardlink_to(path)
        services[-1].wait_until(lambda: sum(each.stat().st_size for each in output.glob("Sex/*.csv")) >= expected_bytes)
        took_s, done_s = time.perf_counter() - began, processor_s(services)
        time.sleep(_AT_REST_S)
        rest_s = processor_s(services) - done_s
        mib = sum(service.memory_mib("RssAnon") for service in services)
        for service in services:
            service.stop()
    rmtree(folder / name)
    return Spent(ready_s, rows / took_s, done_s - ready_s, rest_s / _AT_REST_S, mib)


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
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    spent: dict[str, list[Spent]] = {way: [] for way in _WAYS}
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        folder = Path(root)
        path = folder / "rows.csv"
        write_rows(path, asked.rows)
        # A broker's first rows cost more than all later ones.
        measure(kafka, folder, _WAYS[0], path, asked.rows, "warm")
        for turn in range(asked.rounds):
            for number in range(len(_WAYS)):
                way = _WAYS[(turn + number) % len(_WAYS)]
                spent[way].append(measure(kafka, folder, way, path, asked.rows, f"{turn}-{number}"))
                sys.stderr.write(f"{way}: {spent[way][-1]}\n")
    sys.stdout.write(f"| {asked.rows:,} rows | s of CPU until ready | rows/s | s of CPU meanwhile ")
    sys.stdout.write("| at rest, ms of CPU a second | MiB |\n")
    sys.stdout.write("| --- " * 6 + "|\n")
    for way, rounds in spent.items():
        start_s, rate, cpu_s, rest_s, mib = (
            statistics.median(getattr(each, name) for each in rounds) for name in Spent._fields
        )
        sys.stdout.write(f"| {way} | {start_s:.2f} | {rate:,.0f} | {cpu_s:.2f} | {1000 * rest_s:.1f} | {mib:.1f} |\n")
    _RESULTS.write_text(
        json.dumps({way: [each._asdict() for each in rounds] for way, rounds in spent.items()}, indent=1) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
