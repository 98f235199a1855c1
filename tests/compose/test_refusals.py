"""A service that is refused is started by Docker again and again: less and less often, and a stop ends it at once."""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

import pytest

from tests.harness.compose_project import Project, docker, wait_until

# The first test builds the images too.
pytestmark = pytest.mark.timeout(400)

# Within its first seconds a container begins again at once, however often its service starts in them.
AT_ONCE_S = 5.0


def refusals(project: Project) -> list[float]:
    """When sink has said that its setting is wrong, in seconds."""
    lines = project.compose("logs", "--no-color", "--no-log-prefix", "--timestamps", "sink").splitlines()
    return [datetime.fromisoformat(line.split()[0]).timestamp() for line in lines if "PARTITIONS '0'" in line]


def waits(project: Project) -> list[float]:
    """The seconds between refusals that are more than a start takes."""
    return [gap for before, after in pairwise(refusals(project)) if (gap := after - before) > AT_ONCE_S]


def test_a_refusal_is_repeated_less_and_less_often(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    project.compose("up", "--detach", "--no-deps", "sink", PARTITIONS="0")
    wait_until(lambda: len(waits(project)) >= 2, "two refusals that were waited for", 120)
    first, second = waits(project)[:2]
    record_property("seconds between two refusals of a container", first)
    record_property("seconds between two refusals of a container", second)
    # Docker alone would repeat it as fast as the service starts.
    assert second > 1.5 * first

    began = time.monotonic()
    project.compose("stop", "sink")
    record_property("seconds to stop a container that waits before it ends", time.monotonic() - began)
    [container] = project.containers("sink")
    assert (container.running, container.exit_code) == (False, 78)
    # A grace period of Docker's would have passed otherwise.
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("images")
def test_a_container_that_is_run_once_is_refused_at_once() -> None:
    began = time.monotonic()
    printed = docker("run", "--rm", "--entrypoint", "sh", "nacre-sink", "-c",
                     "sleep 6; PARTITIONS=0 python -m services.sink; echo $?")  # fmt: skip
    # Neither is it the container's first process.
    assert printed.splitlines()[-1] == "78"
    assert time.monotonic() - began < 25
