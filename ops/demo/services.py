"""The three services as processes of the demo's own, which end with it."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from ops.demo.files import DemoError
from ops.kafka.deferred_signals import deferred_signals

_LOG_TAIL_LINES = 20
# A service drains within its DRAIN_DEADLINE_S; this deadline is for one that fails to.
_STOP_DEADLINE_S = 10.0
_PR_SET_PDEATHSIG = 1
# Load the library here: between fork and exec nothing may be loaded.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Services:
    """The services, started on entry and stopped on exit. `arguments` are by service; logs go into the folder."""

    def __init__(self, arguments: Mapping[str, Sequence[str]], log_folder: Path) -> None:
        self._arguments = arguments
        self._log_folder = log_folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            for name, arguments in self._arguments.items():
                with deferred_signals():
                    self._processes[name] = self._start(name, arguments)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __len__(self) -> int:
        return len(self._processes)

    @property
    def names(self) -> Sequence[str]:
        """Their names."""
        return list(self._arguments)

    def kill(self, name: str) -> bool:
        """Kill a service with -9 and start it again; False if it has ended before."""
        process = self._processes[name]
        if process.poll() is not None:
            return False
        with deferred_signals():
            process.kill()
            process.wait()
            self._processes[name] = self._start(name, self._arguments[name])
        return True

    def finished(self) -> Sequence[str]:
        """The services that are done. Raises DemoError when one has failed."""
        codes = {name: process.poll() for name, process in self._processes.items()}
        for name, code in codes.items():
            if code not in (None, 0):
                raise DemoError(f"{name} ended with exit code {code}; the end of its log:\n{self.log_tail(name)}")
        return [name for name, code in codes.items() if code == 0]

    def log_tail(self, name: str) -> str:
        """The last lines that a service has logged."""
        lines = self._log_path(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def stop(self) -> None:
        """Let those that still run drain, and wait until they have ended."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _STOP_DEADLINE_S
        for process in self._processes.values():
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log_path(name).open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own code
                # -P: a folder `services` where the demo is called must not be taken for ours.
                [sys.executable, "-P", "-m", f"services.{name}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the terminal's whole group; a second signal from the demo would cut their drain short.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call into a loaded library, no lock is taken
            )

    def _log_path(self, name: str) -> Path:
        return self._log_folder / f"{name}.log"


def _end_with_parent() -> None:
    """On Linux, let a service drain even when the demo is killed."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
