"""What the operator's commands have in common."""

from pathlib import Path

import pytest

from common.broker_errors.kinds import ErrorKind
from common.errors import ConfigurationError, ServiceError
from common.sessions.diagnosis import Diagnosis
from ops.command_line import refusal_of
from tests.harness.closed_pipe import into_a_closed_pipe
from tests.harness.pipeline import ABALONE_FILE


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize(
    "command",
    [
        ["config", "sink"],
        ["config", "sink", "--json"],
        ["settings"],
        ["--help"],
        ["forget", "--help"],
        ["acls", "--sink", "User:sink"],
        ["completion", "bash"],
        ["validate", str(ABALONE_FILE), "--no-broker"],
    ],
)
def test_a_pipe_whose_reader_has_left_is_no_error(command: list[str], *, buffered: bool) -> None:
    assert into_a_closed_pipe(*command, buffered=buffered) == (0, "")


@pytest.mark.parametrize("buffered", [True, False])
def test_what_is_found_is_in_the_exit_code_also_without_a_reader(tmp_path: Path, *, buffered: bool) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"Sex,Rings\ntoo,many,fields\n")
    assert into_a_closed_pipe("validate", str(path), "--no-broker", buffered=buffered) == (1, "")


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
