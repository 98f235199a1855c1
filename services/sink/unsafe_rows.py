"""The rows of one partition that are appended and not safe yet: how many, and when the oldest was read. Pure."""

from msgspec import Struct

from common.counts import Counts, Durations, PartitionCounts


class Safe(Struct, frozen=True):
    """What a checkpoint did: how long it took, and how long its rows had taken; None if it was given up."""

    took_s: float = 0.0
    latencies: Durations | None = None


class UnsafeRows:
    """Counts rows as they are appended, and once they are safe. `held` always has when the oldest unsafe one was read.

    Rejections count as no rows: they are counted where they are made.
    """

    def __init__(self, counts: Counts, held: PartitionCounts, *, are_rejections: bool) -> None:
        self._counts = counts
        self._held = held
        self._are_rejections = are_rejections
        # The first of each is of the rows since the last checkpoint began, the second of those that it makes safe.
        self._rows = self._rows_in_checkpoint = 0
        self._since_ms = self._since_ms_in_checkpoint = 0

    def expect(self, since_ms: int) -> None:
        """Rows are about to be appended, the oldest of them read at this time (0: not known)."""
        self._since_ms = _earlier(self._since_ms, since_ms)
        self._show()

    def append(self, rows: int) -> None:
        """So many rows are appended."""
        if not self._are_rejections:
            self._counts.rows.received += rows
            self._rows += rows

    def begin_checkpoint(self) -> None:
        """A checkpoint begins, of all that is appended."""
        self._rows_in_checkpoint, self._since_ms_in_checkpoint = self._rows, self._since_ms
        self._rows = self._since_ms = 0

    def end_checkpoint(self, safe: Safe) -> None:
        """The checkpoint has ended."""
        if safe.latencies is not None:
            self._counts.rows.sent += self._rows_in_checkpoint
            self._counts.checkpoints.add(safe.took_s)
            self._counts.latencies.add_all(safe.latencies)
        self._rows_in_checkpoint = self._since_ms_in_checkpoint = 0
        self._show()

    def _show(self) -> None:
        self._held.unsafe_since_ms = _earlier(self._since_ms_in_checkpoint, self._since_ms)


def _earlier(one_ms: int, other_ms: int) -> int:
    """The earlier of two times, of which 0 is none."""
    return min(one_ms, other_ms) if one_ms and other_ms else one_ms or other_ms
