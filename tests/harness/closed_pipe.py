"""Commands whose output nobody reads."""

import os
import subprocess
import sys

from tests.harness.pipeline import PROJECT


def into_a_closed_pipe(*command: str, buffered: bool = True) -> tuple[int, str]:
    """The exit code and the error output of a command whose standard output nobody reads any more."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, *([] if buffered else ["-u"]), "-m", "ops", *command],
            cwd=PROJECT,
            env=environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr
