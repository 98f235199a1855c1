"""`nacre ingest`, `split` and `sink` are the services: same options, exit codes, signals, and nothing more to load."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, PROJECT, SERVICES, Pipeline

MODULE, COMMAND = "python -m services.{}", "nacre {}"
SETTINGS = {"INPUT": "a.csv", "SPLIT_BY": "Sex", "OUTPUT_DIR": "out"}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**os.environ, **settings, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def options_in(text: str) -> list[str]:
    """What a help shows below its usage, whose lines break elsewhere as the program's name is longer."""
    return text.partition("options:")[2].splitlines()


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--help"], {}),
        (["--no-such-flag"], {}),
        ([], {"PARTITIONS": "six"}),
        (["--kafka-security-protocol", "SSLL"], SETTINGS),
    ],
    ids=["help", "unknown-flag", "wrong-value", "wrong-choice"],
)
def test_both_ways_take_and_refuse_the_same(name: str, arguments: list[str], settings: dict[str, str]) -> None:
    module = run("-m", f"services.{name}", *arguments, **settings)
    command = run("-m", "ops", name, *arguments, **settings)
    assert command.returncode == module.returncode
    assert module.stderr.replace(MODULE.format(name), COMMAND.format(name)) == command.stderr
    said = module.stdout.replace(MODULE.format(name), COMMAND.format(name))
    assert options_in(said) == options_in(command.stdout)
    assert bool(said) == bool(command.stdout) == (arguments == ["--help"])


def test_a_finite_run_ends_as_it_does_otherwise(pipeline: Pipeline) -> None:
    services = [
        pipeline.start_command("ingest", ABALONE_FILE, "--once"),
        pipeline.start_command("split", "--split-by", "Sex", "--exit-when-done"),
        pipeline.start_command("sink", "--exit-when-done"),
    ]
    pipeline.finish(*services)
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", SERVICES)
def test_a_signal_reaches_the_service_which_is_the_process(
    pipeline: Pipeline, name: str, number: signal.Signals
) -> None:
    service = pipeline.start_command(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex")
    pipeline.wait_for_event(service, "ready")
    children = Path(f"/proc/{service.process_id}/task/{service.process_id}/children")
    assert not children.exists() or children.read_text() == ""
    assert service.stop(number)[0] == 0
    assert service.events("drained")


def modules_of(*arguments: str) -> set[str]:
    """What a process has imported when it has read its settings."""
    refused = run("-X", "importtime", "-m", *arguments, PARTITIONS="six")
    assert refused.returncode == 78, refused.stderr
    lines = [line for line in refused.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_imports_what_the_service_does(name: str) -> None:
    more = modules_of("ops", name) - modules_of(f"services.{name}")
    assert {module for module in more if not module.startswith(f"services.{name}")} == {"ops"}
