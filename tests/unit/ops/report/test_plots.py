"""Where the marks of a plot stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.report.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, plot_latencies, plot_safe_rows, short, shown_ms
from services.sink.tallies.latencies import bound_of, quantile

NOON_MS = 1_795_953_600_000
COUNTS = st.dictionaries(st.integers(0, 60), st.integers(0, 10**9), max_size=30)
TIMES = st.lists(st.tuples(st.integers(NOON_MS, NOON_MS + 10**9), st.integers(0, 10**6)), max_size=1_000)


@given(COUNTS)
def test_bars_have_the_heights_of_their_counts_and_stay_in_the_field(counts: dict[int, int]) -> None:
    plot = plot_latencies(counts)
    if plot is None:
        assert not any(counts.values())
        return
    most = max(counts.values())
    by_label = {bar.label: bar for bar in plot.bars}
    for bucket, rows in counts.items():
        if rows:
            bar = by_label[f"at most {shown_ms(bound_of(bucket))}: {rows:,} rows"]
            assert bar.height == pytest.approx((HEIGHT - TOP - BOTTOM) * rows / most)
    for bar in plot.bars:
        assert bar.x >= LEFT
        assert bar.x + bar.width <= WIDTH - RIGHT + 0.001
        assert bar.y + bar.height == pytest.approx(HEIGHT - BOTTOM)
        assert bar.y >= TOP - 0.001
    assert [mark.label for mark in plot.marks] == [
        f"p50 {shown_ms(quantile(counts, 0.5) or 0)}",
        f"p99 {shown_ms(quantile(counts, 0.99) or 0)}",
    ]
    assert 1 <= len(plot.x_ticks) <= 5
    assert all(LEFT <= tick.at <= WIDTH - RIGHT + 0.001 for tick in (*plot.x_ticks, *plot.marks))


@given(TIMES)
def test_the_line_climbs_from_nothing_to_all_rows(times: list[tuple[int, int]]) -> None:
    plot = plot_safe_rows(times)
    if plot is None:
        assert len({at for at, rows in times if rows}) < 2
        return
    points = [point.split(",") for point in plot.line.split()]
    across, down = [float(x) for x, _ in points], [float(y) for _, y in points]
    assert (across[0], down[0]) == (LEFT, HEIGHT - BOTTOM)
    assert (across[-1], down[-1]) == (WIDTH - RIGHT, TOP)
    assert across == sorted(across)
    assert down == sorted(down, reverse=True)
    assert len(points) < 1_000
    [top] = [tick for tick in plot.y_ticks if tick.at == TOP]
    assert top.label == short(sum(rows for _, rows in times))


@pytest.mark.parametrize(
    ("span_ms", "labels"),
    [
        (900, ["00:00.000", "00:00.300", "00:00.600", "00:00.900"]),
        (60_000, ["12:00:00", "12:00:20", "12:00:40", "12:01:00"]),
        (3 * 3_600_000, ["12:00", "13:00", "14:00", "15:00"]),
        (3 * 86_400_000, ["11-29 12:00", "11-30 12:00", "12-01 12:00", "12-02 12:00"]),
        (300 * 86_400_000, ["2026-11-29", "2027-03-09", "2027-06-17", "2027-09-25"]),
    ],
)
def test_times_are_as_exact_as_their_span_needs(span_ms: int, labels: list[str]) -> None:
    plot = plot_safe_rows([(NOON_MS, 1), (NOON_MS + span_ms, 1)])
    assert plot is not None
    assert [tick.label for tick in plot.x_ticks] == labels


def test_numbers_are_short_on_an_axis() -> None:
    assert [short(count) for count in (0, 999, 1_200, 3_000_000, 2 * 10**9)] == ["0", "999", "1.2 k", "3 M", "2 G"]
    latencies = (1, 999, 1_500, 90_000, 5_400_000, 2 * 86_400_000)
    assert [shown_ms(ms) for ms in latencies] == ["1 ms", "999 ms", "1.5 s", "1.5 min", "1.5 h", "2.0 days"]
