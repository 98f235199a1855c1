"""The command itself, where no broker is needed, and a view as lines."""

import subprocess
import sys
from pathlib import Path

import pytest

from ops.top.command import main
from ops.top.plain import plain_lines
from tests.harness.pipeline import PROJECT
from tests.harness.views import view

LINES = Path(__file__).parent / "screens" / "plain.txt"


def test_a_view_as_lines() -> None:
    lines = list(plain_lines(view(categories=30), "nacre.* at localhost:9092"))
    assert all(line.isprintable() for line in lines)
    if not LINES.exists():
        # After a change, remove it, run this again, and look at what is there then.
        LINES.write_text("".join(f"{line}\n" for line in lines))
        pytest.fail(f"there was no {LINES}: is it right now?")
    assert lines == LINES.read_text().splitlines()


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "3601"])
def test_an_interval_that_makes_no_sense_is_refused(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--interval-s", interval]) == 78
    assert capsys.readouterr().err == f"nacre top: --interval-s {interval}: more than 0, at most an hour\n"


def test_what_it_says_moves_no_cursor() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "top", "\x1b[2J"], cwd=PROJECT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert [line for line in done.stderr.splitlines() if not line.isprintable()] == []
