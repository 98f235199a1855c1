"""Keeping the three standard streams in a state that cannot end a service, at its start or later."""

import io
import os
import sys

_ERROR = 2


def keep_standard_streams() -> None:
    """Make sure that each is open, and that a failed write to standard error raises no exception."""
    for descriptor in range(_ERROR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            # This gets the lowest free descriptor, the closed one. An event loop that got it would abort on closing it.
            os.open(os.devnull, os.O_RDWR)
    # Python has None in place of a closed stream.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - it stays open
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - same
    sys.stderr = io.TextIOWrapper(_StandardError(), "utf-8", "backslashreplace", line_buffering=True)


class _StandardError(io.BufferedIOBase):
    """Standard error without a buffer: one line is one write, and a full disk or a closed terminal is no error."""

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]  # any buffer
        """Write all of it, or as much as the stream takes; return the length of the data either way."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(_ERROR, rest) :]
        except OSError:
            pass
        return len(data)

    def writable(self) -> bool:
        """True: it is for writing."""
        return True

    def fileno(self) -> int:
        """The same descriptor as Python's own."""
        return _ERROR

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(_ERROR)
