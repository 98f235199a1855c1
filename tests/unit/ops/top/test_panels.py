"""What the lists hold, beyond what the screens show."""

from msgspec.structs import replace

from ops.top.cells import Styled
from ops.top.head import safe_line
from ops.top.panel import title_of
from ops.top.panels import PANELS
from ops.view.view import SplitBalance
from tests.harness.views import view

CATEGORIES = PANELS[1]


def test_bars_grow_as_rows_become_safe_and_are_full_once_all_are() -> None:
    found = view()
    read = replace(found, figures=replace(found.figures, sources=()))
    parts = []
    for missing in (1_000, 500, 0):
        balance = (SplitBalance("Sex", 1_000, 1_000 - missing, 0, 0, missing),)
        whole = CATEGORIES.scale_of(replace(read, balance=balance))
        parts.append(max(each.rows / whole["Sex"] for each in found.categories if each.split == "Sex"))
    assert [round(part, 2) for part in parts] == [0.01, 0.5, 1.0]


def test_a_title_says_how_many_there_are_beyond_those_that_are_listed() -> None:
    assert title_of(CATEGORIES, view(), 4) == "categories the largest 4 (100,001 in all)"
    assert title_of(CATEGORIES, view(), 0) == "categories 0 of the largest 4 (100,001 in all)"
    assert title_of(PANELS[0], view(), 1) == "files 1 of 4"
    assert title_of(PANELS[0], view(), 4) == "files 4"


def test_the_rejected_rows_of_format_1_are_not_among_those_that_are_counted() -> None:
    rejected, older = PANELS[3], replace(view(), has_older_rows=True)
    assert title_of(rejected, view(), 2) == "rejected 2"
    assert title_of(rejected, older, 2) == "rejected 2, without rows of format 1"
    assert title_of(rejected, older, 1) == "rejected 1 of 2, without rows of format 1"
    assert title_of(rejected, replace(older, rejected={}), 0) == "rejected 0, without rows of format 1"
    assert title_of(PANELS[0], older, 4) == "files 4"


def test_why_it_is_not_known_what_is_safe_is_said() -> None:
    unknown = replace(view(), safe_rows=None, balance=())
    assert "safe not known: no ledgers at hand ·" in safe_line(unknown, " · ")
    assert "safe not known: not read within 4 s ·" in safe_line(
        replace(unknown, ledgers_trouble="not read within 4 s"), " · "
    )


def test_rows_that_are_lost_are_not_under_way() -> None:
    under_way = SplitBalance("Sex", 10, 8, 0, 0, 2)
    assert PANELS[4].cells_of(under_way, {})[-1] == Styled("2", "yellow")
    lost = replace(under_way, has_settled=True)
    assert PANELS[4].cells_of(lost, {})[-1] == Styled("2 lost", "red")


def test_more_than_was_read_is_no_balance_at_rest() -> None:
    balance = SplitBalance("Sex", 10, 12, 0, 0, -2)
    assert PANELS[4].cells_of(balance, {})[-1] == Styled("2 more", "red")
    assert ", 2 more than was read ·" in safe_line(replace(view(), balance=(balance,)), " · ")
