"""The tests mean the same however they are started."""

import signal
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CONFTEST = PROJECT / "tests" / "conftest.py"
ASKED = "import os, signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, os.environ.get('SPLIT_BY'))"
# What any test file does first, and then a process as a test starts it.
STARTED = f"import runpy, subprocess, sys; runpy.run_path({str(CONFTEST)!r}); subprocess.run(sys.argv[1:], check=True)"


def test_neither_an_ignored_signal_nor_a_setting_of_the_caller_reaches_a_process_of_the_tests() -> None:
    started = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", STARTED, sys.executable, "-c", ASKED],
        cwd=PROJECT,
        env={"SPLIT_BY": "Sex", "PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert started.stdout == "False None\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
