"""Processes on this machine, from /proc if it exists, because a slim container lacks `ps`, and else from `ps`."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def processes_naming(text: str) -> dict[int, str]:
    """The command line of each process whose command line contains `text`, by process id."""
    listed = _listed_by_proc() if (_PROC / "self").exists() else _listed_by_ps()
    return {number: command for number, command in listed if text in command}


def kill_services_of(variable: str) -> None:
    """Kill the services that were started with this environment variable, NAME=value."""
    marker = b"\0" + variable.encode() + b"\0"
    for number in processes_naming("services."):
        # The process may have ended, or belong to another user.
        with suppress(OSError):
            if marker in b"\0" + (_PROC / str(number) / "environ").read_bytes():
                os.kill(number, signal.SIGKILL)


def _listed_by_proc() -> Iterator[tuple[int, str]]:
    for folder in _PROC.glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        yield int(folder.name), arguments.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def _listed_by_ps() -> Iterator[tuple[int, str]]:
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], check=True, capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        number, _, command = line.strip().partition(" ")
        yield int(number), command
