"""How often a watch looks."""

from hypothesis import given
from hypothesis import strategies as st

from ops.status.watching import pause_s


@given(st.floats(0.001, 3600), st.floats(0, 1000))
def test_looking_takes_at_most_a_twentieth_of_a_core_and_is_no_more_frequent_than_asked(
    interval_s: float, used_s: float
) -> None:
    found = pause_s(interval_s, used_s)
    assert found >= interval_s
    assert used_s <= 0.05 * (used_s + found) * (1 + 1e-9)
    assert found == interval_s or used_s > interval_s / 20
