"""Input that grows while it is read, so that work is always pending."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.harness.chaos.rows import COLUMNS, HEADER, make_rows

_TICK_S = 0.02
# How much may wait in the pipeline: enough that every stage has work, little enough that the end comes soon.
_BACKLOG_BYTES = 3_000_000


class Rhythm(NamedTuple):
    """For how many seconds a file is fed, and for how many it then rests; one file after the other begins."""

    fed_s: float
    rest_s: float = 0.0

    def feeds(self, number: int, files: int, at_s: float) -> bool:
        """Whether this one of so many files is fed at this time."""
        whole_s = self.fed_s + self.rest_s
        return (at_s + whole_s * number / files) % whole_s < self.fed_s


STEADY = Rhythm(1.0)


class Feeder:
    """Appends rows to a few files at a steady pace, in a thread of its own, until `end`."""

    def __init__(
        self,
        folder: Path,
        written_bytes: Callable[[], int],
        sources: int,
        rows_per_s: int,
        rhythm: Rhythm = STEADY,
    ) -> None:
        folder.mkdir()
        self.inputs = {f"s{number}": folder / f"s{number}.csv" for number in range(sources)}
        self.rows = 0
        # The bytes of the rows that ingest accepts, which is the size that the file of all rows reaches.
        self.good_bytes = len(HEADER)
        self._written_bytes = written_bytes
        self._rhythm = rhythm
        self.set_pace(rows_per_s)
        self._ended = threading.Event()
        for path in self.inputs.values():
            path.write_bytes(HEADER)
        self._thread = threading.Thread(target=self._feed, name="feeder")
        self._thread.start()

    def set_pace(self, rows_per_s: int) -> None:
        """Feed this many rows a second from now on, as far as the pipeline keeps up."""
        fed = len(self.inputs) * self._rhythm.fed_s / (self._rhythm.fed_s + self._rhythm.rest_s)
        self._per_tick = max(1, round(rows_per_s * _TICK_S / fed))

    @property
    def pending_bytes(self) -> int:
        """How many bytes were fed and are not yet written."""
        return self.good_bytes - self._written_bytes()

    @property
    def is_full(self) -> bool:
        """Whether so many bytes wait that feeding pauses."""
        return self.pending_bytes > _BACKLOG_BYTES

    def end(self) -> None:
        """Feed no more."""
        self._ended.set()
        self._thread.join()

    def _feed(self) -> None:
        numbers = dict.fromkeys(self.inputs, 0)
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + _TICK_S
            if self.is_full:
                continue
            per_tick = self._per_tick
            for number, (source, path) in enumerate(self.inputs.items()):
                if not self._rhythm.feeds(number, len(self.inputs), due):
                    continue
                data = make_rows(source, numbers[source], per_tick)
                with path.open("ab") as file:
                    file.write(data)
                numbers[source] += per_tick
                self.good_bytes += sum(len(row) for row in data.splitlines(keepends=True) if _is_good(row))
            self.rows = sum(numbers.values())


def _is_good(row: bytes) -> bool:
    return row.count(b",") == COLUMNS - 1
