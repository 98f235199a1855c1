"""When to commit: at once while little comes; under load as seldom as the interval and the memory allow."""

from collections.abc import Hashable
from typing import Protocol

# What comes more slowly than this is not worth waiting for. Each commit costs the broker the same, however large it is.
_LOAD_BYTES_PER_S = 4 * 2**20
# Of all outboxes of a service. Each partition may have one transaction under way to the broker besides.
MOST_BYTES = 12 * 2**20


class Gathered(Protocol):
    """What a partition has gathered: `size` in bytes since `began`, of time.monotonic."""

    size: int
    began: float


class Pace:
    """What the partitions of a service have gathered, which together decides when each of them commits."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._gathered: dict[Hashable, Gathered] = {}

    def begin(self, partition: Hashable, outbox: Gathered) -> None:
        """The partition gathers into this outbox from now on."""
        self._gathered[partition] = outbox

    def end(self, partition: Hashable) -> None:
        """The partition gathers nothing any more."""
        self._gathered.pop(partition, None)

    def left_s(self, outbox: Gathered, now: float, *, busy: bool) -> float:
        """For how many seconds this outbox is to gather more; 0 or less to commit it, even if another is under way.

        `busy`: another of its partition is under way, which then has to be waited for. `now` is of time.monotonic.
        """
        total = sum(each.size for each in self._gathered.values())
        # One of them has at least an equal share.
        if total >= MOST_BYTES and outbox.size * len(self._gathered) >= total:
            return 0.0
        patience_s = self._interval_s if busy else min(self._interval_s, total / _LOAD_BYTES_PER_S)
        return patience_s - (now - outbox.began)
