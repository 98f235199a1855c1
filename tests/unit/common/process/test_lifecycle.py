"""From its first line to its exit code, a service has a handler of its own for each signal."""

import signal
import subprocess
import sys
from itertools import count

import pytest

# Sends itself a signal right after the n-th change of a handler, n being the first argument; exits 99 if there are
# fewer.
SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from common.process.lifecycle import begin, run_service

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
# While serving, once ended, and until Python's own end: each for three signals.
LEAST_CHANGES = 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_at_any_change_of_handlers_ends_a_service_with_0(number: signal.Signals) -> None:
    for at in count(1):
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(at), str(int(number))], capture_output=True, check=False, timeout=30
        )
        if ran.returncode == FEWER:
            break
        assert ran.returncode == 0, f"at change {at}: {ran.stderr.decode()}"
    assert at > LEAST_CHANGES


# Sends itself the given signals, one after the other, while it is at work.
DRAINING = """
import asyncio, os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[1] == "ignored" else signal.SIG_DFL)
from common.process.lifecycle import begin, run_service

begin()

async def serve(stop):
    for number in sys.argv[2:]:
        os.kill(os.getpid(), int(number))
        await asyncio.sleep(0.05)
    print("asked to stop" if stop.is_set() else "goes on")

sys.exit(run_service(serve, drain_deadline_s=30))
"""


@pytest.mark.parametrize(
    ("inherited", "sent", "code", "said"),
    [
        ("default", [signal.SIGHUP], 0, b"asked to stop"),
        # A terminal that closes sends SIGHUP, and then its shell sends it again.
        ("default", [signal.SIGHUP, signal.SIGHUP], 0, b"asked to stop"),
        ("default", [signal.SIGTERM, signal.SIGHUP], 0, b"asked to stop"),
        ("default", [signal.SIGHUP, signal.SIGTERM], 128 + signal.SIGTERM, b""),
        # Started by nohup.
        ("ignored", [signal.SIGHUP], 0, b"goes on"),
    ],
)
def test_a_terminal_that_closes_drains_a_service(
    inherited: str, sent: list[signal.Signals], code: int, said: bytes
) -> None:
    arguments = [inherited, *(str(int(number)) for number in sent)]
    ran = subprocess.run([sys.executable, "-c", DRAINING, *arguments], capture_output=True, check=False, timeout=30)
    assert ran.returncode == code, ran.stderr.decode()
    assert said in ran.stdout
