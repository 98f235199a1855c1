"""`nacre web` beside a real pipeline, asked as a browser asks."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.pipeline import ABALONE_FILE, PROJECT, Pipeline
from tests.harness.web import Web

MakePipeline = Callable[[str], Pipeline]
ROWS = 4_177
HEADER = b"Sex,Rings\n"


def test_at_rest_it_shows_what_status_verify_and_the_receipts_say_and_changes_nothing(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(ABALONE_FILE, folder / "abalone.csv")
    (folder / "few.csv").write_bytes(ABALONE_FILE.read_bytes().splitlines(keepends=True)[0] + b"too,few,fields\n")
    pipeline.run(folder, "*,Sex,Rings:int", MAX_REJECTED="100%")
    ends = {topic: pipeline.observer.ends(topic) for topic in ("rows", "categorized", "rejected", "progress")}
    with Web(pipeline.environment, tmp_path) as web, web.events() as events:
        view = next(fields for kind, fields in events if kind == "view")
        rejected = next(fields["rows"] for kind, fields in events if kind == "rejected")
        files = web.files()
        found = web.files("contains=ABALONE")
    assert (view["verdict"], view["sent_rows"], view["safe_rows"]) == ("ok", ROWS, 3 * ROWS)
    assert (view["oldest_unsafe_s"], view["rejected_rows"]) == (0.0, 1)
    assert [stage["rows"] for stage in view["stages"]] == [ROWS, ROWS, 3 * ROWS + 1]
    assert (view["sources"]["delivered"], view["sources"]["rejected_whole"]) == (1, 1)
    assert [(each["split"], each["missing"]) for each in view["balance"]] == [("Rings", 0), ("Sex", 0), ("all", 0)]
    assert view["categories"]["count"] == 1 + 3 + 28
    assert [each["rows"] for each in view["categories"]["largest"][:2]] == [ROWS, 1528]
    assert sum(each["rows"] for each in view["receipts"]) == ROWS
    assert view["rejected"] == [{"split": "", "code": "fields", "rows": 1}]
    assert [(each["row"], each["line"], each["code"]) for each in rejected] == [("too,few,fields", 2, "fields")]
    assert (files["count"], {each["percent"] for each in files["files"]}) == (2, {100})
    assert [Path(each["source"]).name for each in found["files"]] == ["abalone.csv"]
    assert {topic: pipeline.observer.ends(topic) for topic in ends} == ends


def test_all_who_look_see_the_same_and_a_signal_ends_it_while_they_do(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n")
    pipeline.run(source, "Sex")
    with Web(pipeline.environment, tmp_path) as web, ExitStack() as stack:
        pages = [stack.enter_context(web.events()) for _ in range(4)]
        seen = [
            {fields["at_ms"] for _, (kind, fields) in zip(range(20), page, strict=False) if kind == "view"}
            for page in pages
        ]
        # One look serves all.
        assert set.intersection(*seen)
        assert web.stop(signal.SIGTERM) == 0
        for page in pages:
            assert {kind for kind, _ in page} <= {"view", "rejected", "clock"}
    assert web.output.read_text() == f"nacre web: {web.link}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_waits_for_a_broker_and_a_signal_ends_it_meanwhile(
    make_pipeline: MakePipeline, tmp_path: Path, number: signal.Signals
) -> None:
    with Web(make_pipeline("127.0.0.1:1").environment, tmp_path) as web:
        with web.events() as events:
            trouble = next(fields for kind, fields in events if kind == "trouble")
        assert trouble["text"].startswith("no figures: cannot connect to 127.0.0.1:1: ")
        assert web.stop(number) == 0


def test_it_outlives_its_broker_and_the_last_figures_stay(
    own_kafka: LocalKafka, make_pipeline: MakePipeline, tmp_path: Path
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n")
    with Web(pipeline.environment, tmp_path) as web:
        with web.events() as events:
            assert "nothing is begun" in next(fields["text"] for kind, fields in events if kind == "trouble")
        pipeline.run(source, "Sex")
        web.wait_for_view(lambda view: view["sources"]["delivered"] == 1)
        own_kafka.kill()
        with web.events() as events:
            next(fields for kind, fields in events if kind == "trouble" and fields["text"].startswith("no figures"))
        # A page that is opened now gets both.
        with web.events() as events:
            kinds = [*takewhile(lambda kind: kind != "trouble", (kind for kind, _ in events))]
        assert (kinds[:2], kinds[-1]) == (["clock", "history"], "view")
        own_kafka.start()
        web.wait_for_view(lambda view: view["sources"]["delivered"] == 1)


def test_bound_elsewhere_it_asks_for_the_token_that_it_has_printed(pipeline: Pipeline, tmp_path: Path) -> None:
    with Web(pipeline.environment, tmp_path, "--host", "0.0.0.0") as web:  # noqa: S104 - what is tried
        address, _, token = web.link.partition("?token=")
        assert address == f"http://localhost:{web.port}/"
        assert len(token) == 32
        assert web.ask("/")[0] == 401
        assert web.ask("/files")[0] == 401
        assert web.ask(f"/?token={token}")[0] == 303
        assert web.ask("/", Authorization=f"Bearer {token}")[0] == 200
    given = {**pipeline.environment, "NACRE_WEB_TOKEN": "a-token-of-ones-own"}
    with Web(given, tmp_path) as web:
        assert web.link.endswith("?token=a-token-of-ones-own")
        assert web.ask("/")[0] == 401


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--port", "70000"], {}, "--port 70000: from 0 to 65535"),
        (["--interval-s", "0"], {}, "--interval-s 0: more than 0, at most an hour"),
        ([], {"NACRE_WEB_TOKEN": "short"}, "NACRE_WEB_TOKEN: 5 characters: it needs 16 at least"),
        (["--host", "no-such-host.invalid"], {}, "cannot listen at port 8090 of no-such-host.invalid: "),
        ([], {"KAFKA_SECURITY_PROTOCOL": "x"}, "KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_a_wrong_setting_is_one_line(arguments: list[str], variables: dict[str, str], said: str) -> None:
    done = web_ends(arguments, variables)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert done.stderr.startswith("nacre web: ")
    assert said in done.stderr


def test_a_port_that_is_taken_is_one_line(pipeline: Pipeline, tmp_path: Path) -> None:
    with Web(pipeline.environment, tmp_path) as web:
        done = web_ends(["--port", str(web.port)], {})
    assert (done.returncode, done.stdout) == (78, "")
    said = f"nacre web: cannot listen at port {web.port} of localhost: Address already in use: set another --port or"
    assert done.stderr == f"{said} --host\n"


def web_ends(arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", "web", *arguments],
        cwd=PROJECT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
