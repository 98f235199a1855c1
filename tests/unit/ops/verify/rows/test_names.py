"""verify reads a category's path as sink writes it."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.protocol.category_keys import Category
from ops.verify.rows.names import NamedCategory, numbers_in
from services.sink.paths.names import file_path
from services.sink.paths.template import path_rule

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["rejected", "M", "~empty", "%4D", "a~2", "é" * 150, "é" * 151, "CON", "a.csv", ".", "=", "x=y-1"]),
)
CATEGORIES: st.SearchStrategy[Category] = st.lists(st.none() | TEXTS, max_size=3).map(tuple)
SPLITS = TEXTS.filter(bool)
TEMPLATES = st.sampled_from(
    [
        "{split}/{category}.csv",
        "{split}={category}/{date}/{part}.csv",
        "x/{category}-{split}.csv",
        "{category}/{split}.csv",
        "{split}-{category}/{part}-{date}.csv",
    ]
)


@given(SPLITS, CATEGORIES, st.integers(1, 12))
def test_a_path_says_its_category_and_the_number_of_its_schema(split: str, category: Category, number: int) -> None:
    path = file_path(split, category, number)
    assert number in numbers_in(path, "{split}/{category}.csv", NamedCategory(split, category, 0))


@given(TEMPLATES, SPLITS, CATEGORIES, st.integers(1, 12), st.integers(1, 9_999_999))
def test_a_path_of_any_template_says_it_too(
    template: str, split: str, category: Category, number: int, part: int
) -> None:
    rolls = "{part}" in template or "{date}" in template
    rule = path_rule(template, rolls=rolls)
    place = rule.place(split, category, number, part, "2026-11-28")
    path = place.final or place.path
    assert number in numbers_in(path, rule.name, NamedCategory(split, category, part))


@given(SPLITS, CATEGORIES, SPLITS, CATEGORIES)
def test_no_path_says_another_category(split: str, category: Category, other: str, others: Category) -> None:
    assume((split, category) != (other, others))
    # A split without columns is named as one with columns could be: the path says which by its depth alone.
    assert not numbers_in(file_path(split, category, 1), "{split}/{category}.csv", NamedCategory(other, others, 0))


@pytest.mark.parametrize(
    "path", ["Sex/F.csv", "Sex/M~.csv", "Sex/M~0.csv", "M.csv", "Sex/M.csv.csv", "Sex/M/M.csv", ""]
)
def test_a_path_of_something_else_says_nothing(path: str) -> None:
    assert numbers_in(path, "{split}/{category}.csv", NamedCategory("Sex", ("M",), 0)) == set()
