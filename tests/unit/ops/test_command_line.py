"""What the operator's commands have in common."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.broker_errors.kinds import ErrorKind
from common.errors import ConfigurationError, ServiceError
from common.sessions.diagnosis import Diagnosis
from ops.command_line import refusal_of

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("command", [["config", "sink"], ["config", "sink", "--json"], ["settings"]])
def test_a_pipe_whose_reader_has_left_is_no_error(command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ops", *command],
            cwd=PROJECT,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        (ErrorKind.REFUSED, ConfigurationError, "why"),
        (ErrorKind.REFUSED_IF_IT_LASTS, ConfigurationError, "why"),
        (ErrorKind.WAITS, ServiceError, "why; try again"),
    ],
)
def test_what_the_broker_refuses_is_a_wrong_setting(kind: ErrorKind, error: type[ServiceError], text: str) -> None:
    refusal = refusal_of(Diagnosis(kind, "why"), "; try again")
    assert type(refusal) is error
    assert str(refusal) == text
