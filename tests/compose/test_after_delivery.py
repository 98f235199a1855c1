"""Files leave data/ only where it is mounted writable, and ingest says so."""

import os

import pytest

from tests.harness.compose_project import Project, wait_until

# The first test builds the images too.
pytestmark = pytest.mark.timeout(400)

SOMEBODY = 12345


def test_files_leave_data_only_where_it_is_mounted_writable(project: Project) -> None:
    content = b"Sex,Rings\nM,1\nF,2\n"
    (project.data / "a.csv").write_bytes(content)
    user = os.getuid() or SOMEBODY
    if os.getuid() == 0:
        for path in (project.folder, project.data):
            os.chown(path, user, user)
    settings = {"AFTER_DELIVERY": "move:/data/done", "SPLIT_BY": "*", "RUN_AS": f"{user}:{user}"}
    project.compose("up", "--detach", **settings)
    refusal = "AFTER_DELIVERY=move:/data/done: /data may not be written to"
    wait_until(lambda: refusal in project.compose("logs", "ingest"), "ingest refuses a read-only data/")
    assert (project.data / "a.csv").read_bytes() == content

    project.compose("up", "--detach", DATA_READ_ONLY="false", **settings)
    wait_until((project.data / "done" / "a.csv").exists, "the file has left")
    assert [path.name for path in project.data.iterdir()] == ["done"]
    assert project.output() == {"all.csv": content}
