"""`nacre` as a process of its own, beside a pipeline."""

import csv
import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.harness.expectation import rejections
from tests.harness.pipeline import PROJECT, Pipeline

_DEADLINE_S = 180


def run_nacre(pipeline: Pipeline, *arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, with this as its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=PROJECT,
        env=pipeline.environment,
        input=given,
        capture_output=True,
        check=False,
        timeout=_DEADLINE_S,
    )


def run_nacre_as_text(pipeline: Pipeline, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text."""
    done = run_nacre(pipeline, *arguments)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def nacre(pipeline: Pipeline, *arguments: str | Path, given: bytes = b"") -> bytes:
    """What a command prints. AssertionError, with its errors, if it fails."""
    done = run_nacre(pipeline, *arguments, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def replay(pipeline: Pipeline, mended: Mapping[str, str]) -> None:
    """Send these rejected rows again, as they are mended."""
    rows = rejections(nacre(pipeline, "rejected", "show"))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(row | {"row": mended[row["row"]]} for row in rows if row["row"] in mended)
    nacre(pipeline, "rejected", "replay", "--from", "-", "--yes", given=file.getvalue().encode("latin-1"))
