from ops.web.history import MOST_POINTS, History, Point


def test_the_latest_points_are_kept_by_column() -> None:
    history = History()
    for second in range(MOST_POINTS + 10):
        history.add(Point(second, ingest=2.0 * second))
    columns = history.columns()
    assert list(columns) == ["at_s", "ingest", "split", "sink", "split_lag", "sink_lag", "unsafe_s"]
    assert [len(each) for each in columns.values()] == [MOST_POINTS] * 7
    assert (columns["at_s"][0], columns["ingest"][-1]) == (10, 2.0 * (MOST_POINTS + 9))


def test_where_figures_are_missing_there_is_one_gap_however_long() -> None:
    history = History()
    history.interrupt(1)
    history.add(Point(2, ingest=5.0))
    for second in (3, 4, 5):
        history.interrupt(second)
    history.add(Point(6, ingest=7.0))
    assert history.columns()["at_s"] == [2, 3, 6]
    assert history.columns()["ingest"] == [5.0, None, 7.0]


def test_once_the_clock_is_set_back_the_points_begin_again_there() -> None:
    history = History()
    for second in (1, 2, 100, 101):
        history.add(Point(second, ingest=float(second)))
    history.add(Point(3, ingest=3.0))
    assert history.columns()["at_s"] == [1, 2, 3]
    history.interrupt(2)
    assert history.columns()["at_s"] == [1, 2]
    assert history.columns()["ingest"] == [1.0, None]
