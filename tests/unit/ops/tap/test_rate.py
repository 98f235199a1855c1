"""No more rows a second are shown than may be, and never fewer without need."""

from hypothesis import given
from hypothesis import strategies as st

from ops.tap.rate import Rate

GAPS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.999, 1.0, 3.0]) | st.floats(0, 2)


@given(st.integers(1, 20), st.lists(st.tuples(GAPS, st.integers(0, 50)), max_size=30))
def test_in_any_second_at_most_so_many_rows_are_shown(most: int, offered: list[tuple[float, int]]) -> None:
    rate, now, shown = Rate(most), 0.0, list[tuple[float, int]]()
    for gap, rows in offered:
        now += gap
        taken, rate = rate.take(rows, now)
        shown.append((now, taken))
        in_this_second = sum(count for at, count in shown if now - at < 1.0)
        assert 0 <= taken <= rows
        assert in_this_second <= most
        assert taken == rows or in_this_second == most


def test_after_a_quiet_second_all_may_be_shown_again() -> None:
    taken, rate = Rate(3).take(5, 10.0)
    assert taken == 3
    assert rate.take(5, 10.9)[0] == 0
    assert rate.take(2, 11.0)[0] == 2
