"""More sources than fit into SQLite's cache, in containers that can write nowhere but to out/."""

import os

import pytest

from common.protocol.output_folder import MANIFEST, SUCCESS
from tests.harness.compose_project import Project, wait_until

# The first test builds the images too.
pytestmark = pytest.mark.timeout(400)

SOURCES = 500


def test_every_source_gets_its_receipt_and_the_next_run_goes_on(project: Project) -> None:
    if os.getuid() == 0:
        os.chown(project.folder, 12345, 12345)
    for number in range(SOURCES):
        (project.data / f"s{number}.csv").write_bytes(b"Sex,Rings\nM,%d\nF,%d\n" % (number % 7, number % 5))
    run_to_the_end(project, SOURCES)
    # It takes up the shares of all of them again.
    (project.data / "later.csv").write_bytes(b"Sex,Rings\nM,1\n")
    run_to_the_end(project, SOURCES + 1)
    assert project.output()["all.csv"].count(b"\n") == 1 + 2 * SOURCES + 1


def run_to_the_end(project: Project, sources: int) -> None:
    """Run until all services have ended; all must have succeeded, with a receipt for each source."""
    project.compose("up", "--detach", ONCE="true", EXIT_WHEN_DONE="true")
    wait_until(lambda: not any(each.running for each in project.containers("sink")), "sink has ended", 180)
    [sink] = project.containers("sink")
    assert sink.exit_code == 0, project.compose("logs", "sink")
    assert len(list((project.out / "_receipts").rglob("*.json"))) == sources
    assert all((project.out / name).exists() for name in (MANIFEST, SUCCESS))
    assert not [path.name for path in (project.out / ".nacre").iterdir() if path.name.startswith("temporary-")]
