"""The page of `docker compose --profile web up`, asked from outside."""

import json
import shutil
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.harness.broker import free_port
from tests.harness.compose_project import ROOT, Project, docker, wait_until

pytestmark = pytest.mark.timeout(400)

TOKEN = "a-token-of-some-length"  # noqa: S105 - a test's own
ROWS = 4_177


def ask(port: int, path: str, token: str = "") -> Any:
    """The answer to a page's request."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://localhost:{port}{path}", headers=headers)
    return urllib.request.urlopen(request, timeout=30)  # noqa: S310 - our own


def first_view(port: int) -> dict[str, Any]:
    """The first figures that a page gets; nothing while there are none."""
    with ask(port, "/events", TOKEN) as events:
        kind = b""
        for line in events:
            if line.startswith(b"event: "):
                kind = line.strip()
            elif kind == b"event: view":
                return dict(json.loads(line.removeprefix(b"data: ")))
            elif kind == b"event: trouble":
                return {}
    return {}


def test_the_page_has_the_figures_of_all_containers_and_asks_for_its_token(project: Project) -> None:
    docker("compose", "--project-directory", str(ROOT), "--profile", "web", "build", "web")
    shutil.copy(ROOT / "data" / "abalone_full.csv", project.data)
    port = free_port()
    project.compose("--profile", "web", "up", "--detach", "--wait", WEB_PORT=str(port), NACRE_WEB_TOKEN=TOKEN)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(port, "/")
    with ask(port, "/", TOKEN) as page:
        assert b"<title>Nacre</title>" in page.read()

    def is_delivered() -> bool:
        view = first_view(port)
        return bool(view and view["sources"]["delivered"] == 1 and view["safe_rows"] == 3 * ROWS)

    wait_until(is_delivered, "it shows that all is delivered")
    view = first_view(port)
    assert [stage["replica_count"] for stage in view["stages"]] == [1, 1, 1]
    assert {each["missing"] for each in view["balance"]} == {0}
    with ask(port, "/files", TOKEN) as files:
        # The file is at hand, as a path of the containers'.
        [file] = json.loads(files.read())["files"]
    assert (file["source"], file["percent"], file["rows"]) == ("/data/abalone_full.csv", 100, ROWS)
    assert f"http://localhost:{port}/?token={TOKEN}" in project.log()
