"""What others wrote is never obeyed by the terminal, also where a note quotes it."""

import pytest
import structlog

from ops.tap.follow import report_outages
from ops.tap.output import note

HOSTILE = "\x1b]0;gone\x07\n\u202e"
SHOWN = r"\x1b]0;gone\x07\n\u202e"


def test_a_note_is_one_line_that_a_terminal_does_not_obey(capsys: pytest.CaptureFixture[str]) -> None:
    note(f"cannot connect to {HOSTILE}:9092")
    assert capsys.readouterr().err == f"nacre tap: cannot connect to {SHOWN}:9092\n"


def test_so_is_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    try:
        report_outages()
        structlog.get_logger().warning("not ready", reason=f"cannot connect to {HOSTILE}:9092")
    finally:
        structlog.configure(**before)
    assert capsys.readouterr().err == f"nacre tap: waiting for the broker: cannot connect to {SHOWN}:9092\n"
