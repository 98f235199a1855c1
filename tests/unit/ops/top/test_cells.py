"""Rows in columns: as wide as they have to be, whatever the text."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ops.top.cells import Bar, Column, Styled, bar, fitted, row_of

COLUMNS = (Column("a", 5), Column("b", 7, is_number=True), Column("c", keeps_end=True))


@given(text=st.text(), width=st.integers(0, 40), keeps_end=st.booleans(), is_right=st.booleans())
def test_a_text_takes_its_cells_and_has_nothing_that_a_terminal_obeys(
    text: str, width: int, *, keeps_end: bool, is_right: bool
) -> None:
    shown = fitted(text, width, keeps_end=keeps_end, is_right=is_right)
    assert cell_len(shown) == width
    assert shown.isprintable()


def test_what_is_cut_keeps_its_beginning_or_its_end() -> None:
    assert fitted("/data/orders.csv", 8) == "/data/o…"
    assert fitted("/data/orders.csv", 8, keeps_end=True) == "…ers.csv"
    assert fitted("12", 4, is_right=True) == "  12"


@given(st.floats(0, 1), st.integers(0, 50))
def test_a_bar_fills_its_column_and_the_least_is_seen(part: float, width: int) -> None:
    shown = bar(part, width)
    assert len(shown) == width
    assert (shown.strip() != "") == (part > 0 and width > 0)


def test_a_longer_bar_is_of_more() -> None:
    assert [bar(part, 2) for part in (0, 0.01, 0.5, 0.75, 1)] == ["  ", "▏ ", "█ ", "█▌", "██"]


@given(st.integers(0, 100))
def test_a_row_is_as_wide_as_its_columns_or_the_screen(width: int) -> None:
    row = row_of(COLUMNS, ("x", Styled("1", "red"), Bar(0.5)), width)
    assert sum(segment.cell_length for segment in row) == max(width, 5 + 7 + 2 * 2)
