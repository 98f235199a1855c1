"""Compose projects that share nothing, each with its own copy of compose.yaml, data/ and out/."""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parents[2]
SERVICES = ("ingest", "split", "sink")

_POLL_INTERVAL_S = 0.1
# Leave out settings of the person who runs the tests.
_KEPT = ("PATH", "HOME", "XDG_RUNTIME_DIR")
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("DOCKER_")}


@dataclass(frozen=True)
class Container:
    """A container as Docker describes it now."""

    name: str
    running: bool
    exit_code: int
    finished_at: float
    user: str
    # What its health check last found and printed.
    health: str
    health_log: str


class Project:
    """A checkout as it is after a clone: without out/."""

    def __init__(self, folder: Path) -> None:
        self.name = f"nacre-test-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.data = folder / "data"
        self.out = folder / "out"
        self.data.mkdir(parents=True)
        shutil.copy(ROOT / "compose.yaml", folder)

    def compose(self, *arguments: str, **settings: str) -> str:
        """Run `docker compose` for this project and return what it prints; `settings` go into its environment."""
        names = ("--project-name", self.name, "--project-directory", str(self.folder))
        return docker("compose", *names, *arguments, environment=settings)

    def containers(self, *services: str) -> list[Container]:
        """The containers of these services, including those that have ended."""
        identities = self.compose("ps", "--all", "--quiet", *services).split()
        return [_container(item) for item in json.loads(docker("inspect", *identities))] if identities else []

    def log(self) -> str:
        """What all containers have logged."""
        return self.compose("logs", "--no-color", "--timestamps")

    def output(self) -> dict[str, bytes]:
        """The files in out/ by path."""
        return {str(path.relative_to(self.out)): path.read_bytes() for path in self.out.rglob("*.csv")}

    def output_size(self) -> int:
        """How many bytes the files in out/ have together."""
        return sum(path.stat().st_size for path in self.out.rglob("*.csv"))

    def down(self) -> None:
        """Remove everything that Docker holds of this project."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")


def docker(
    *arguments: str, given: bytes = b"", timeout_s: float = 300, environment: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Run a Docker command that must succeed, and return what it prints on both streams."""
    finished = subprocess.run(
        ["docker", *arguments],
        env={**_ENVIRONMENT, **environment},
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        check=False,
    )
    printed = finished.stdout.decode(errors="replace")
    assert finished.returncode == 0, f"docker {' '.join(arguments)}: {finished.returncode}\n{printed}"
    return printed


def events(container: str) -> list[dict[str, Any]]:
    """What a service's container has logged."""
    lines = docker("logs", container).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def last_assigned(container: str) -> list[str]:
    """The partitions that a service's container was last assigned; none if it never was."""
    given = [event["partitions"] for event in events(container) if event["event"] == "partitions assigned"]
    return list(given[-1]) if given else []


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 60) -> float:
    """Wait until the condition holds; return how many seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < deadline_s, f"not within {deadline_s} s: {what}"
        time.sleep(_POLL_INTERVAL_S)
    return time.monotonic() - began


def _container(described: dict[str, Any]) -> Container:
    state = described["State"]
    health = state.get("Health") or {"Status": "", "Log": []}
    return Container(
        name=described["Name"],
        running=state["Running"],
        exit_code=state["ExitCode"],
        finished_at=datetime.fromisoformat(state["FinishedAt"]).timestamp(),
        user=described["Config"]["User"],
        health=health["Status"],
        health_log=health["Log"][-1]["Output"] if health["Log"] else "",
    )
