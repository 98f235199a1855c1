"""`python -m benchmarks.start_stop [--times N]`: how long a service takes to be ready, and to end.

Once where there is nothing to do, and once under full load: the three services carry a file that none of them comes to
the end of. In turn each is ended with SIGTERM and started again: seconds from its start to ready, and from the signal
to its exit, with 0. Also written to benchmarks/results/start_stop.json.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from benchmarks.contenders import STAGES
from benchmarks.inputs import write_rows
from benchmarks.kept import keep
from benchmarks.processes import Service, bytes_in
from benchmarks.tables import table
from ops.kafka.local import LocalKafka

_ROWS = 2_000_000
_ROWS_EACH_TIME = 12_000_000
# A service that was started works so long before it is ended, or the next one is.
_AT_WORK_S = 1.0
_AT_REST_S = 0.2

Seconds = dict[str, dict[str, list[float]]]


def measure_idle(kafka: LocalKafka, folder: Path, times: int) -> Seconds:
    """Seconds of each service to ready and to its exit, so many times, with one row and then no more."""
    path = folder / "row.csv"
    path.write_text("Sex,Length\nM,0.455\n")
    with Pipeline(kafka, "idle.", path, folder / "idle") as pipeline:
        return pipeline.restart(times, _AT_REST_S)


def measure_loaded(kafka: LocalKafka, folder: Path, times: int) -> Seconds:
    """Seconds of each service to ready and to its exit, so many times, in the middle of a file."""
    path, output = folder / "rows.csv", folder / "out"
    expected_bytes = write_rows(path, _ROWS + times * _ROWS_EACH_TIME)
    with Pipeline(kafka, "loaded.", path, output) as pipeline:
        seconds = pipeline.restart(times, _AT_WORK_S)
        if bytes_in(output.glob("Sex/*.csv")) >= expected_bytes:
            sys.exit("the load was not full: all rows were in their files before the end")
    return seconds


class Pipeline:
    """The three services, each started when the one before is ready, until the first rows are in their files."""

    def __init__(self, kafka: LocalKafka, prefix: str, path: Path, output: Path) -> None:
        self._kafka, self._prefix, self._path, self._output = kafka, prefix, path, output
        self._settings = {"SPLIT_BY": "Sex", "OUTPUT_DIR": str(output)}
        self._running = ExitStack()
        self._services: dict[str, Service] = {}

    def __enter__(self) -> Self:
        for name in STAGES:
            self._start(name)
        self._services["sink"].wait_until((self._output / "Sex").exists)
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _start(self, name: str) -> float:
        arguments = [self._path] if name == "ingest" else []
        service = Service(name, self._kafka, self._prefix, *arguments, **self._settings)
        self._services[name] = self._running.enter_context(service)
        return service.wait_for("ready")

    def restart(self, times: int, between_s: float) -> Seconds:
        """End and start each of them in turn, so long after the last was ready."""
        seconds: Seconds = {name: {"ready": [], "exit": []} for name in STAGES}
        for _ in range(times):
            for name, took in seconds.items():
                time.sleep(between_s)
                took["exit"].append(self._services[name].stop())
                took["ready"].append(self._start(name))
        return seconds


def main() -> int:
    """Measure, once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=7)
    asked = parser.parse_args()
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        measured = {
            "nothing to do": measure_idle(kafka, Path(root), asked.times),
            "full load": measure_loaded(kafka, Path(root), asked.times),
        }
    columns = ("", "start to ready, s: median", "slowest", "SIGTERM to exit, s: median", "slowest")
    rows = [
        (load, name, *(f"{pick(took[what]):.2f}" for what in ("ready", "exit") for pick in (statistics.median, max)))
        for load, seconds in measured.items()
        for name, took in seconds.items()
    ]
    sys.stdout.write(table("", columns, rows))
    keep("start_stop", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
