"""What the lists hold, beyond what the screens show."""

from msgspec.structs import replace

from ops.top.panels import PANELS, title_of
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
    assert title_of(CATEGORIES, view(), 4) == "categories 4 of 100,001"
    assert title_of(PANELS[0], view(), 4) == "files 4"
