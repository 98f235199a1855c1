"""Counts add up, and a partition that comes back is as far behind as it was."""

from hypothesis import given
from hypothesis import strategies as st

from common.counts import BOUNDS, Counts, Durations, PartitionCounts, RowCounts

SECONDS = st.lists(st.floats(-1, 1_000) | st.sampled_from(BOUNDS))


def durations_of(seconds: list[float]) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.add(each)
    return durations


@given(SECONDS)
def test_a_duration_is_counted_at_the_first_bound_that_it_does_not_exceed(seconds: list[float]) -> None:
    found = durations_of(seconds)
    for index, bound in enumerate(BOUNDS):
        assert sum(found.counts[: index + 1]) == sum(each <= bound for each in seconds)
    assert sum(found.counts) == len(seconds)


@given(SECONDS, SECONDS)
def test_durations_add_up(one: list[float], other: list[float]) -> None:
    found = durations_of(one)
    found.add_all(durations_of(other))
    both = durations_of(one + other)
    assert found.counts == both.counts
    assert abs(found.total_s - both.total_s) < 1e-6 * (1 + both.total_s)


def test_one_that_counts_for_many_rows_counts_as_often() -> None:
    durations = Durations()
    durations.add(0.02, 7)
    assert durations.counts[BOUNDS.index(0.025)] == 7
    assert durations.total_s == 0.14


def test_rows_add_up_by_split_and_code() -> None:
    rows, more = RowCounts(1, 2), RowCounts(10, 20)
    rows.reject("Sex", "column")
    more.reject("Sex", "column", 2)
    more.reject("", "fields")
    rows.add_all(more)
    assert (rows.received, rows.sent) == (11, 22)
    assert rows.rejected == {("Sex", "column"): 3, ("", "fields"): 1}
    # The sums do not follow later changes of what was added.
    more.reject("", "fields")
    assert rows.rejected["", "fields"] == 1


def test_a_replica_counts_the_partitions_that_it_has_and_no_others() -> None:
    counts = Counts()
    counts.assign([("rows", 0), ("rows", 1)])
    counts.of(("rows", 0)).lag_rows = 5
    counts.of(("rows", 1)).lag_rows = 7
    counts.assign([("rows", 1), ("rows", 2)])
    assert counts.partitions == {("rows", 1): PartitionCounts(lag_rows=7), ("rows", 2): PartitionCounts()}
    assert counts.rebalances == 2
