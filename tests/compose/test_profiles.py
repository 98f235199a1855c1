"""The profiles of compose.yaml: what they add, and that Prometheus finds every replica of the services."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.broker import free_port
from tests.harness.compose_project import ROOT, SERVICES, Project, docker, wait_until
from tests.harness.prometheus import Prometheus

# The first test builds the images too.
pytestmark = pytest.mark.timeout(400)

PLAIN = {"kafka", "prepare", *SERVICES}
ADDED = {"metrics": {"prometheus", "grafana"}, "ui": {"kafka-ui"}}
# Debian's Prometheus under the name of the one that cannot be pulled everywhere; all else is compose.yaml's.
STAND_IN = "nacre-test-prometheus"
DOCKERFILE = """\
FROM python:3.13-slim
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus \\
    && rm -rf /etc/prometheus/* && install -d -o 65534 /prometheus
USER 65534
ENTRYPOINT ["prometheus"]
"""


def configuration(project: Project, *profiles: str) -> dict[str, Any]:
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    found: dict[str, Any] = json.loads(project.compose(*chosen, "config", "--format", "json"))
    return found


@pytest.mark.parametrize("profile", ADDED)
def test_a_profile_adds_what_is_pinned_and_reached_from_this_machine_alone(project: Project, profile: str) -> None:
    plain, added = configuration(project), configuration(project, profile)
    assert set(plain["services"]) == PLAIN
    assert set(plain["volumes"]) == {"kafka-data"}
    assert {name: added["services"][name] for name in PLAIN} == plain["services"]
    assert set(added["services"]) == PLAIN | ADDED[profile]
    for name in ADDED[profile]:
        service = added["services"][name]
        tag = service["image"].partition(":")[2]
        assert tag.removeprefix("v")[:1].isdigit(), service["image"]
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
        for each in service.get("volumes", ()):
            assert each["type"] == "volume" or each["read_only"]


@pytest.fixture
def stand_in(tmp_path: Path, images: None) -> Iterator[None]:  # noqa: ARG001 - they are built once
    folder = tmp_path / "stand-in"
    folder.mkdir()
    folder.joinpath("Dockerfile").write_text(DOCKERFILE)
    try:
        docker("build", "--tag", STAND_IN, str(folder))
    except AssertionError as error:
        pytest.skip(f"no image of Debian's Prometheus: {error}")
    yield
    docker("image", "rm", "--force", STAND_IN)


def test_prometheus_finds_every_replica_and_forgets_those_that_are_gone(project: Project, stand_in: None) -> None:  # noqa: ARG001
    shutil.copytree(ROOT / "deploy", project.folder / "deploy")
    project.folder.joinpath("compose.override.yaml").write_text(f"services: {{prometheus: {{image: {STAND_IN}}}}}\n")
    prometheus = Prometheus(free_port())
    settings = {"PROMETHEUS_PORT": str(prometheus.port)}

    def scale(split: int) -> None:
        replicas = ("--scale", f"split={split}", "--scale", "sink=2")
        project.compose("--profile", "metrics", "up", "--detach", *replicas, *SERVICES, "prometheus", **settings)

    def finds(**replicas: int) -> bool:
        try:
            return prometheus.up() == replicas
        except OSError:
            return False

    scale(2)
    wait_until(lambda: finds(ingest=1, split=2, sink=2), "each replica answers")
    ready = "min by (service) (nacre_ready)"
    wait_until(lambda: {value for _, value in prometheus.samples(ready)} == {1}, "all are ready", 90)
    assert {rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]} == {"ok"}
    scale(1)
    wait_until(lambda: finds(ingest=1, split=1, sink=2), "the replica that is gone is forgotten")
    project.compose("stop", "split")
    missing = ("NacreServiceMissing", "split")
    wait_until(lambda: missing in prometheus.alerts("pending"), "the service is missed")
    project.compose("start", "split")
    wait_until(lambda: not prometheus.alerts("pending") and not prometheus.alerts(), "nothing is wrong")
