"""A real Prometheus with the configuration and the rules of deploy/prometheus, over the services of a test."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.broker import free_port
from tests.harness.pipeline import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
_FOLDER = DEPLOY / "prometheus"
_DEADLINE_S = 30
_MS = {"ms": 1, "s": 1_000, "m": 60_000}


class Prometheus:
    """What a Prometheus at this port of this machine has found; asked over its HTTP API."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, page: str, **parameters: str) -> Any:
        """The data that a page of its API answers with."""
        address = f"http://127.0.0.1:{self.port}/api/v1/{page}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=_DEADLINE_S) as answer:
            return json.load(answer)["data"]

    def samples(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """What an expression has now: the labels of each series, and its value."""
        found = self.ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def up(self) -> dict[str, int]:
        """How many replicas of each service were reached when they were last asked."""
        return {labels["service"]: int(value) for labels, value in self.samples("sum by (service) (up)")}

    def alerts(self, state: str = "firing") -> set[tuple[str, str]]:
        """The alerts that fire, or stand so: name and service, "" where it is of none."""
        found = [each for each in self.ask("alerts")["alerts"] if each["state"] == state]
        return {(each["labels"]["alertname"], each["labels"].get("service", "")) for each in found}


@contextmanager
def running_prometheus(folder: Path, ports: Mapping[str, int], sooner: int = 1) -> Iterator[Prometheus]:
    """A Prometheus of this machine that asks the services at these ports; `sooner` as of `hastened`."""
    binary = shutil.which("prometheus")
    assert binary, "the test has to be skipped where there is no Prometheus"
    targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"service": name}} for name, port in ports.items()]
    folder.joinpath("targets.json").write_text(json.dumps(targets))
    found_in = "file_sd_configs: [{files: [targets.json]}]\n"
    # The names of compose.yaml's services mean nothing outside of its network.
    configuration = re.sub(r"dns_sd_configs:.*", found_in, (_FOLDER / "prometheus.yml").read_text(), flags=re.DOTALL)
    folder.joinpath("prometheus.yml").write_text(hastened(configuration, min(sooner, 5)))
    folder.joinpath("alerts.yml").write_text(hastened((_FOLDER / "alerts.yml").read_text(), sooner))
    prometheus = Prometheus(free_port())
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{prometheus.port}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or _is_up(prometheus), "Prometheus listens", _DEADLINE_S)
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield prometheus
    finally:
        process.kill()
        process.wait()


def hastened(text: str, sooner: int) -> str:
    """The same configuration or rules, with each interval, range, offset and `for:` divided; thresholds stay."""

    def divided(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) * _MS[found[3]] // sooner}ms"

    return re.sub(r"(interval: |for: |\[|offset )(\d+)(ms|s|m)\b", divided, text)


def _is_up(prometheus: Prometheus) -> bool:
    try:
        return bool(prometheus.ask("status/runtimeinfo"))
    except OSError:
        return False
