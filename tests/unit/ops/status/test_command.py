"""The command itself, where no broker is needed."""

import subprocess
import sys

from tests.harness.pipeline import PROJECT


def test_what_it_says_moves_no_cursor() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "status", "\x1b[2J"], cwd=PROJECT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert [line for line in done.stderr.splitlines() if not line.isprintable()] == []
    assert "\\x1b[2J" in done.stderr
