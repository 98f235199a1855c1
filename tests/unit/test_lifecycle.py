"""From its first line to its exit code a service has a handler of its own for either signal."""

import signal
import subprocess
import sys
from itertools import count

import pytest

# Sends itself a signal right after the n-th change of a handler, n being the first argument; leaves with 99 when there
# were fewer.
SCRIPT = """
import os, signal, sys
from common.lifecycle import begin, run_service

at, number = int(sys.argv[1]), int(sys.argv[2])
begin()
change, changes = signal.signal, 0

def change_and_send(*arguments):
    global changes
    before = change(*arguments)
    changes += 1
    if changes == at:
        os.kill(os.getpid(), number)
    return before

async def serve(stop):
    pass

signal.signal = change_and_send
code = run_service(serve, drain_deadline_s=5)
sys.exit(99 if changes < at else code)
"""
FEWER = 99
# Heard, ended, and gone on to Python's own end: each for two signals.
LEAST_CHANGES = 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_change_of_handlers_ends_a_service_with_0(number: signal.Signals) -> None:
    for at in count(1):
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(at), str(int(number))], capture_output=True, check=False, timeout=30
        )
        if ran.returncode == FEWER:
            break
        assert ran.returncode == 0, f"at change {at}: {ran.stderr.decode()}"
    assert at > LEAST_CHANGES
