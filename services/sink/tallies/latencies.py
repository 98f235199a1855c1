"""How long rows take from ingest's read to the fsync, counted in buckets whose bounds grow by a half each. Pure."""

import math
from collections.abc import Iterable, Mapping

from common.counts import Durations

_GROWTH = 1.5


def bucket_of(latency_ms: float) -> int:
    """The bucket of a latency: the first whose bound is not below it. Bucket 0 ends at 1 ms."""
    return max(0, math.ceil(math.log(max(latency_ms, 1), _GROWTH)))


def bound_of(bucket: int) -> int:
    """The longest latency in a bucket, in ms."""
    return math.floor(_GROWTH**bucket)


def quantile(counts: Mapping[int, int], share: float) -> int | None:
    """A bound, in ms, that this share of the rows does not exceed; None if there are no rows."""
    rank = share * sum(counts.values())
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed and passed >= rank:
            return bound_of(bucket)
    return None


def durations_of(read_ms: Iterable[Mapping[int, int]], safe_ms: int) -> Durations:
    """How long rows took that are safe at `safe_ms`: `read_ms` has the rows of each time of reading (ms since 1970)."""
    durations = Durations()
    for counts in read_ms:
        for moment, rows in counts.items():
            durations.add((safe_ms - moment) / 1000, rows)
    return durations


def counted(read_ms: Mapping[int, int], safe_ms: int) -> dict[int, int]:
    """By bucket, rows that are safe at `safe_ms`: `read_ms` has those of each time of reading (ms since 1970)."""
    counts: dict[int, int] = {}
    for moment, rows in read_ms.items():
        bucket = bucket_of(safe_ms - moment)
        counts[bucket] = counts.get(bucket, 0) + rows
    return counts


def added(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """The sums of two counts."""
    return {bucket: one.get(bucket, 0) + other.get(bucket, 0) for bucket in sorted({*one, *other})}
