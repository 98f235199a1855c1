"""`python -m benchmarks.start_stop [--times N]`: how long a service takes to be ready, and to end, under full load.

The three services carry a file that none of them comes to the end of. In turn each is ended with SIGTERM and started
again: seconds from its start to ready, and from the signal to its exit, with 0. Also written to
benchmarks/results/start_stop.json.
"""

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.memory import write_rows
from benchmarks.processes import Service
from benchmarks.throughput import STAGES
from ops.kafka import LocalKafka

_ROWS = 2_000_000
_ROWS_EACH_TIME = 8_000_000
# A service that was started works so long before it is ended, or the next one is.
_AT_WORK_S = 1.0
_RESULTS = Path(__file__).parent / "results" / "start_stop.json"


def measure(kafka: LocalKafka, folder: Path, times: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each service to ready and to its exit, so many times."""
    path, output = folder / "rows.csv", folder / "out"
    expected_bytes = write_rows(path, _ROWS + times * _ROWS_EACH_TIME)
    arguments = {"ingest": [path]}
    seconds: dict[str, dict[str, list[float]]] = {name: {"ready": [], "exit": []} for name in STAGES}
    with ExitStack() as stack:

        def started(name: str) -> Service:
            settings = {"SPLIT_BY": "Sex", "OUTPUT_DIR": str(output)}
            return stack.enter_context(Service(name, kafka, "restarts.", *arguments.get(name, []), **settings))

        services = {name: started(name) for name in STAGES}
        for service in services.values():
            service.wait_for("ready")
        services["sink"].wait_until((output / "Sex").exists)
        for _ in range(times):
            for name in STAGES:
                time.sleep(_AT_WORK_S)
                seconds[name]["exit"].append(services[name].stop())
                services[name] = started(name)
                seconds[name]["ready"].append(services[name].wait_for("ready"))
        if sum(each.stat().st_size for each in output.glob("Sex/*.csv")) >= expected_bytes:
            sys.exit("the load was not full: all rows were in their files before the end")
    return seconds


def main() -> int:
    """Measure, once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=7)
    asked = parser.parse_args()
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        seconds = measure(kafka, Path(root), asked.times)
    sys.stdout.write("| | start to ready, s: median | slowest | SIGTERM to exit, s: median | slowest |\n")
    sys.stdout.write("| --- " * 5 + "|\n")
    for name, took in seconds.items():
        cells = [f"{pick(took[what]):.2f}" for what in ("ready", "exit") for pick in (statistics.median, max)]
        sys.stdout.write(f"| {name} | " + " | ".join(cells) + " |\n")
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(seconds, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
