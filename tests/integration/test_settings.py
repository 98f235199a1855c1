"""What is set wrongly is one line that names the setting; what is secret stays so."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.settings import ServiceSettings
from services.ingest.settings import IngestSettings
from services.sink.settings import SinkSettings
from services.split.settings import SplitSettings
from tests.harness.pipeline import ABALONE_FILE, PROJECT, SERVICES, Pipeline
from tests.harness.setting_names import names_of

SECRET = "correct horse battery staple"  # noqa: S105 - it opens nothing
MODELS: dict[str, type[ServiceSettings]] = {"ingest": IngestSettings, "split": SplitSettings, "sink": SinkSettings}


def run(name: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"services.{name}", *arguments],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize("name", SERVICES)
def test_help_names_every_setting(name: str) -> None:
    answer = run(name, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    for setting in names_of(MODELS[name]):
        assert f"--{setting.replace('_', '-')}" in answer.stdout


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        pytest.param("split", {}, "SPLIT_BY", id="split-without-split-by"),
        pytest.param("split", {"SPLIT_BY": ""}, "SPLIT_BY", id="empty-is-not-set"),
        pytest.param("split", {"SPLIT_BY": "Rings:integer"}, "SPLIT_BY", id="unknown-type"),
        pytest.param("ingest", {}, "INPUT", id="ingest-without-input"),
        pytest.param("ingest", {"INPUT": "a.csv", "ORDER": "any"}, "ORDER", id="unknown-choice"),
        pytest.param("ingest", {"INPUT": "a.csv", "SETTLE_S": "-1"}, "SETTLE_S", id="below-its-least"),
        pytest.param("sink", {"PARTITIONS": "six"}, "PARTITIONS", id="no-number"),
        pytest.param("sink", {"TOPIC_PREFIX": "a b"}, "TOPIC_PREFIX", id="no-topic-name"),
        pytest.param("sink", {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_USERNAME", id="no-user"),
    ],
)
def test_a_wrong_setting_is_exit_78_and_one_line_that_names_it(name: str, settings: dict[str, str], named: str) -> None:
    answer = run(name, **settings)
    assert answer.returncode == 78
    [line] = answer.stderr.splitlines()
    assert named in line


def test_an_input_that_is_not_there_is_exit_78_and_one_line(pipeline: Pipeline, tmp_path: Path) -> None:
    ingest = pipeline.start("ingest", tmp_path / "missing.csv")
    assert ingest.wait_for_exit() == 78
    [error] = ingest.events("cannot go on")
    assert error["reason"].startswith(f"INPUT {tmp_path / 'missing.csv'}: ")


@pytest.mark.parametrize("name", SERVICES)
def test_partitions_other_than_the_topics_have_are_exit_78_and_one_line(pipeline: Pipeline, name: str) -> None:
    first = pipeline.start("sink", PARTITIONS="2")
    pipeline.wait_for_event(first, "partitions assigned")
    second = pipeline.start(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex", PARTITIONS="3")
    assert second.wait_for_exit() == 78
    [error] = second.events("cannot go on")
    assert "PARTITIONS" in error["reason"]
    assert len(pipeline.observer.partitions("rows")) == 2


@pytest.mark.parametrize("name", SERVICES)
def test_the_password_is_never_in_the_log(make_pipeline: Callable[[str], Pipeline], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        pipeline = make_pipeline(f"127.0.0.1:{server.getsockname()[1]}")
    service = pipeline.start(
        name,
        INPUT=str(ABALONE_FILE),
        SPLIT_BY="Sex",
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_USERNAME="somebody",
        KAFKA_SASL_PASSWORD=SECRET,
        LOG_LEVEL="debug",
    )
    pipeline.wait_for_event(service, "not ready")
    assert service.stop()[0] == 0
    assert "somebody" in service.log()
    assert SECRET not in service.log()
