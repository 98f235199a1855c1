"""A process on a terminal of its own, of any size."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.harness.pipeline import wait_until


class Terminal:
    """Runs a command; `written` is what it has written, control sequences among it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, size: tuple[int, int]
    ) -> None:
        self._master, self._slave = pty.openpty()
        columns, lines = size
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = self.settings()
        self.written = b""
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        self._reading.join()
        os.close(self._master)

    def settings(self) -> list[object]:
        """How the terminal is set: echo, lines, and so on."""
        return list(termios.tcgetattr(self._slave))

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def wait_for(self, text: str, deadline_s: float = 180.0) -> None:
        """Wait until it has written this since the last call."""
        wait_until(lambda: text.encode() in self.written or self.process.poll() is not None, repr(text), deadline_s)
        assert self.process.poll() is None, self.written[-2_000:]
        self.written = b""

    def _read(self) -> None:
        # The last one to close the other side ends it with an error.
        with suppress(OSError):
            while chunk := os.read(self._master, 65_536):
                self.written += chunk
