"""The three standard streams, so that no state in which they are at the start, or come to be, ends a service."""

import io
import os
import sys

_ERROR = 2


def keep_standard_streams() -> None:
    """Make sure that each is open, and that what standard error does not take is lost without an error."""
    for descriptor in range(_ERROR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            # It gets the lowest number that is free: this one. An event loop that gets it aborts when it closes it.
            os.open(os.devnull, os.O_RDWR)
    # For a stream that is closed Python has None.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - it stays open
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - same
    sys.stderr = io.TextIOWrapper(_StandardError(), "utf-8", "backslashreplace", line_buffering=True)


class _StandardError(io.BufferedIOBase):
    """Standard error without a buffer: one line is one write, and a full disk or a closed terminal is no error."""

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]  # any buffer
        """Write all, or as much as is taken."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(_ERROR, rest) :]
        except OSError:
            pass
        return len(data)

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def fileno(self) -> int:
        """As Python's own."""
        return _ERROR

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        return os.isatty(_ERROR)
