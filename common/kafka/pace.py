"""When to commit: at once while little comes; under load as seldom as the interval and the memory allow."""

from collections.abc import Hashable
from typing import Protocol

# What comes more slowly than this is not worth waiting for. Each commit costs the broker the same, however large it is.
_LOAD_BYTES_PER_S = 4 * 2**20
# Of all outboxes of a service. Each partition may have one transaction under way to the broker besides.
MOST_BYTES = 12 * 2**20
# How large the first transaction may be, and the least that others may.
FIRST_BYTES = 4 * 2**20
_LEAST_BYTES = 2**20
# One that takes so much of the time that it has is followed by smaller ones.
_LONG_SHARE = 0.125


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


def next_most_bytes(most_bytes: int, size: int, took_s: float, timeout_s: float) -> int:
    """How large the next transaction may be, after one of this size that took this much of its timeout.

    Over a slow network a large one would be aborted each time. That a small one was quick says nothing of a large one.
    """
    if took_s > timeout_s * _LONG_SHARE:
        return max(most_bytes // 2, _LEAST_BYTES)
    return min(2 * most_bytes, MOST_BYTES) if 2 * size >= most_bytes else most_bytes
