"""A real Docker, the images built once, and for each test a project of its own."""

import shutil
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.harness.compose_project import ROOT, Project, docker

_BASES = ("python:3.13-slim", "apache/kafka:4.3.0")
_PULL_DEADLINE_S = 120
_OUTCOME = pytest.StashKey[pytest.TestReport]()


# Before xdist looks which tests belong together.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the containers' tests run one after the other, beside others: the images are built once."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("compose"))


@pytest.fixture(scope="session")
def images() -> None:
    """The images of this checkout; skips where they cannot be made."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command: the containers are not tested")
    if not _succeeds("version"):
        pytest.skip("no Docker Engine answers: the containers are not tested")
    if not _succeeds("compose", "version"):
        pytest.skip("Docker has no Compose plugin: the containers are not tested")
    for base in _BASES:
        if not _succeeds("image", "inspect", base) and not _succeeds("pull", base):
            pytest.skip(f"the image {base} is neither here nor to be pulled: the containers are not tested")
    docker("compose", "--project-directory", str(ROOT), "build")


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest, images: None) -> Iterator[Project]:  # noqa: ARG001 - the project runs them
    """A project that is taken down with the test, its log printed when the test failed."""
    made = Project(tmp_path / "checkout")
    try:
        yield made
        outcome = request.node.stash.get(_OUTCOME, None)
        if outcome is not None and outcome.failed:
            print(made.compose("ps", "--all"), made.log(), sep="\n")  # noqa: T201
    finally:
        made.down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a test's outcome for its fixtures."""
    report = yield
    if report.when == "call":
        item.stash[_OUTCOME] = report
    return report


def _succeeds(*arguments: str) -> bool:
    try:
        finished = subprocess.run(["docker", *arguments], capture_output=True, timeout=_PULL_DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return finished.returncode == 0
