"""When files are finished, and which rows go into which."""

from hypothesis import given
from hypothesis import strategies as st

from common.protocol.messages import Ended
from common.rows.tally import NOTHING
from services.sink.grouping import CsvRun
from services.sink.ledger.entries import Entry
from services.sink.rolling.limits import NEVER, Limits, portions, with_end

runs_strategy = st.lists(
    st.builds(CsvRun, st.sampled_from([b"\n", b"\r\n"]), st.lists(st.binary(max_size=6), min_size=1, max_size=5)),
    max_size=5,
)


def plain_twin(
    rows: list[tuple[bytes, bytes]], limits: Limits, size: int, count: int, header: int
) -> list[tuple[list[tuple[bytes, bytes]], bool]]:
    """Row by row: a file is full once it has reached a limit."""
    files: list[tuple[list[tuple[bytes, bytes]], bool]] = []
    adding: list[tuple[bytes, bytes]] = []
    for eol, row in rows:
        adding.append((eol, row))
        size, count = size + len(row) + len(eol), count + 1
        if (limits.rows and count >= limits.rows) or (limits.size and size >= limits.size):
            files.append((adding, True))
            adding, size, count = [], header, 0
    return [*files, (adding, False)] if adding else files


@given(runs_strategy, st.integers(0, 4), st.integers(0, 30), st.integers(0, 20), st.integers(0, 3), st.integers(0, 5))
def test_rows_are_cut_where_a_file_is_full(
    runs: list[CsvRun], max_rows: int, max_size: int, size: int, count: int, header: int
) -> None:
    limits = Limits(max_size, max_rows)
    found = [
        ([(eol, row) for eol, values, _ in portion.runs for row in values], portion.full)
        for portion in portions(runs, limits, size=size, rows=count, header=header)
    ]
    rows = [(eol, row) for eol, values, _ in runs for row in values]
    expected = plain_twin(rows, limits, size, count, header)
    assert [each for each in found if each[0]] == expected


def test_a_file_is_due_by_its_age_by_its_rest_or_by_the_end_of_what_was_to_come() -> None:
    entry = Entry(b"k", "k.csv.open", 5, 1, part=1, final="k.csv", began_at=100.0, changed_at=160.0)
    assert not Limits().due(1e12, NEVER).has(entry)
    assert [Limits(age_s=60).due(now, NEVER).has(entry) for now in (159.9, 160.0)] == [False, True]
    assert [Limits(idle_s=60).due(now, NEVER).has(entry) for now in (219.9, 220.0)] == [False, True]
    assert [Limits().due(200.0, ended_at).has(entry) for ended_at in (99.0, 100.0)] == [False, True]


def test_a_file_is_due_by_a_time_that_is_still_to_come_if_that_time_counts() -> None:
    entry = Entry(b"k", "k.csv.open", 5, 1, part=1, final="k.csv", began_at=160.0, changed_at=100.0)
    # A clock is set back by less in the ordinary course of things.
    assert [Limits(age_s=60).due(now, NEVER).has(entry) for now in (158.9, 159.0)] == [True, False]
    assert not Limits(idle_s=60).due(110.0, NEVER).has(entry)
    assert Limits(idle_s=60).due(98.9, NEVER).has(entry)
    assert not Limits().due(0.0, NEVER).has(entry)


def test_the_last_end_of_a_source_comes_from_the_last_of_its_partitions() -> None:
    seen: dict[str, int] = {}
    are_last = []
    for source, parts in (("a", 2), ("b", 1), ("a", 2), ("a", 2)):
        seen, is_last = with_end(seen, Ended(source, NOTHING, 0, parts))
        are_last.append(is_last)
    assert are_last == [False, True, True, False]
    assert seen == {"a": 1}
