"""Where rows and notes go: standard output, until its reader has left, and standard error."""

import select
import sys
from collections.abc import Sequence

from common.errors import ServiceError
from common.escaping import printable
from ops.command_line import discard_output
from ops.tap.rows import Row, as_json, as_text

PROGRAM = "nacre tap"


class Output:
    """Writes rows to standard output, as text or as JSON lines; `is_closed` once its reader has left."""

    def __init__(self, *, as_json_lines: bool) -> None:
        self._as_json_lines = as_json_lines
        self._is_closed = False
        self._poll = select.poll()
        # Asked for nothing, it reports only that the other end is gone.
        self._poll.register(sys.stdout.fileno(), 0)

    @property
    def is_closed(self) -> bool:
        """Whether nobody reads any more; known before the next row comes."""
        return self._is_closed or any(event & (select.POLLERR | select.POLLHUP) for _, event in self._poll.poll(0))

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows at once. ServiceError where they cannot be written."""
        try:
            for row in rows:
                # UTF-8, whatever the locale says.
                sys.stdout.buffer.write(as_json(row) if self._as_json_lines else as_text(row).encode())
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            discard_output()
            self._is_closed = True
        except OSError as error:
            raise ServiceError(f"cannot write to standard output: {error.strerror}") from error


def note(text: str) -> None:
    """Print a line to standard error; what a terminal would obey in it, such as a broker's words, is escaped."""
    sys.stderr.write(f"{PROGRAM}: {printable(text)}\n")
    sys.stderr.flush()
