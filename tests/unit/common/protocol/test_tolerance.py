import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.protocol.progress import Progress
from common.protocol.tolerance import find_excess, parse_tolerance, rejected_whole
from common.rows.tally import Tally


def progress(rows: int, rejected: int, *, ended: bool = False) -> Progress:
    return Progress("a.csv", tally=Tally(rows), rejected=rejected, ended=ended)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_none_allows_any_number(rows: int, rejected: int) -> None:
    assert not find_excess(parse_tolerance("none"), progress(rows, rejected, ended=True))


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(0, 10**4))
def test_a_count_is_the_most_that_may_be(rows: int, rejected: int, most: int) -> None:
    assert bool(find_excess(parse_tolerance(str(most)), progress(rows, rejected))) == (rejected > most)


@pytest.mark.parametrize("text", ["1%", "0.01", ".01", "1.0%"])
def test_a_share_is_of_all_records_once_there_are_enough_to_tell(text: str) -> None:
    tolerance = parse_tolerance(text)
    assert not find_excess(tolerance, progress(9_900, 100))
    assert find_excess(tolerance, progress(9_899, 101))
    assert not find_excess(tolerance, progress(0, 999))
    assert find_excess(tolerance, progress(0, 1_000))
    assert find_excess(tolerance, progress(10, 1, ended=True))
    assert not find_excess(tolerance, progress(0, 0, ended=True))


def test_what_is_said_names_source_counts_setting_and_what_to_do() -> None:
    assert find_excess(parse_tolerance("1%"), progress(99, 2, ended=True)) == (
        "a.csv: 2 of 101 records were rejected, MAX_REJECTED is 1%: look at the reasons in rejected.csv, then give the "
        "mended file a new name, or set MAX_REJECTED higher"
    )


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "ten", "1 %", "0,01", "1e3", "%"])
def test_what_is_neither_count_nor_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a count \(100\), nor a share"):
        parse_tolerance(text)


@pytest.mark.parametrize(
    ("text", "refused"),
    [("none", True), ("100%", False), ("1.0", False), ("3", False), ("99%", True), ("2", True)],
)
def test_all_rows_of_a_source_may_be_rejected_only_where_that_is_said(text: str, *, refused: bool) -> None:
    whole = replace(progress(0, 3, ended=True), reason="2 fields, not 3")
    assert bool(rejected_whole(parse_tolerance(text), whole)) == refused


def test_what_has_a_row_or_only_blank_lines_was_not_rejected_whole() -> None:
    tolerance = parse_tolerance("none")
    assert not rejected_whole(tolerance, replace(progress(1, 3, ended=True), reason="2 fields"))
    # The source may have more records.
    assert not rejected_whole(tolerance, replace(progress(0, 3), reason="2 fields"))
    # Blank lines are rejected, but are not rows.
    assert not rejected_whole(tolerance, progress(0, 3, ended=True))
    assert rejected_whole(tolerance, replace(progress(0, 3, ended=True), reason="2 fields")) == (
        "a.csv: every row was rejected, 3 in all (the first one: 2 fields). If that is right, set MAX_REJECTED=100%"
    )
