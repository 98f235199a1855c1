"""Latencies in buckets: what a quantile says is at most one bucket too high."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.sink.tallies.latencies import added, bound_of, bucket_of, quantile

LATENCIES = st.lists(st.floats(-10, 10**9), min_size=1, max_size=50)


@given(LATENCIES, st.sampled_from([0.5, 0.99]))
def test_a_quantile_is_a_bound_that_the_share_of_rows_keeps_within(latencies: list[float], share: float) -> None:
    bound = quantile(Counter(map(bucket_of, latencies)), share)
    assert bound is not None
    latencies = [max(latency, 1) for latency in latencies]
    within = sum(latency <= bound + 1 for latency in latencies)
    assert within >= share * len(latencies)
    below = bound / 1.5 - 1
    assert sum(latency <= below for latency in latencies) <= share * len(latencies)


def test_no_rows_have_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({3: 0}, 0.5) is None


@given(LATENCIES, LATENCIES)
def test_counts_add_up(one: list[float], other: list[float]) -> None:
    counts = added(Counter(map(bucket_of, one)), Counter(map(bucket_of, other)))
    assert counts == Counter(map(bucket_of, one + other))
    assert all(bound_of(bucket) >= 1 for bucket in counts)
