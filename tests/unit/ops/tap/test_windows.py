"""A partition is searched from its end backwards, each offset once, and only as far as may be needed."""

from hypothesis import given
from hypothesis import strategies as st

from ops.tap.origins import Origin, Stage
from ops.tap.rows import Place, Row
from ops.tap.windows import Window, first_window, is_searched, newest, window_before

OFFSETS = st.integers(0, 2**40)


def row_at(time_ms: int, partition: int, offset: int) -> Row:
    return Row(Place(Stage.ROWS, "t", partition, time_ms), offset, Origin(), None, None, b"", 0, "utf-8")


@given(OFFSETS, st.integers(0, 3_000_000), st.integers(1, 2_000_000))
def test_windows_have_each_offset_once_and_are_few(beginning: int, size: int, rows: int) -> None:
    windows, window = list[Window](), first_window(beginning, beginning + size, rows)
    while window is not None:
        windows.append(window)
        window = window_before(window, beginning)
    assert sum(window.end - window.start for window in windows) == size
    assert [window.end for window in windows[1:]] == [window.start for window in windows[:-1]]
    assert len(windows) <= 6 + size / 200_000


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=25).map(sorted), min_size=1, max_size=3),
    st.integers(1, 8),
    st.integers(1, 5),
)
def test_the_newest_of_all_partitions_are_found_although_the_search_stops_early(
    times: list[list[int]], count: int, size: int
) -> None:
    partitions = [[row_at(time, number, at) for at, time in enumerate(some)] for number, some in enumerate(times)]
    best, starts = list[Row](), [len(some) for some in partitions]
    left = {number for number, start in enumerate(starts) if start}
    while left:
        windows = {number: partitions[number][max(starts[number] - size, 0) : starts[number]] for number in left}
        best = newest([*best, *(row for rows in windows.values() for row in rows[-count:])], count)
        for number, rows in windows.items():
            starts[number] -= len(rows)
            if starts[number] == 0 or is_searched(best, count, rows[0].place.latest_ms):
                left.remove(number)
    expected = newest([row for rows in partitions for row in rows], count)
    # Of those that are equally old any may be taken.
    assert [row.place.latest_ms for row in best] == [row.place.latest_ms for row in expected]
    assert best == sorted(best, key=lambda row: (row.place.latest_ms, row.place.partition, row.kafka_offset))


def test_a_window_without_a_batch_ends_no_search() -> None:
    assert not is_searched([row_at(5, 0, 0)], 1, None)
    assert is_searched([row_at(5, 0, 0)], 1, 5)
    assert not is_searched([row_at(5, 0, 0)], 2, 5)
    assert not is_searched([row_at(5, 0, 0)], 1, 6)
