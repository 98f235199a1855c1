"""Compiled loops or their plain twins."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]
ASKED = "from common.batches import loops as a; from common.rows import loops as b; print(a.KIND, b.KIND)"


def test_plain_loops_can_be_chosen() -> None:
    started = subprocess.run(
        [sys.executable, "-c", ASKED],
        cwd=PROJECT,
        env={"NACRE_PLAIN": "1", "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert started.stdout == "plain plain\n"
