"""Which rows are asked for, and of which topics."""

import pytest

from ops.tap.origins import Origin, Stage
from ops.tap.selection import Selection

MALE = Origin("/data/in/a.csv", split="Sex", category="M", key="Sex=M")
WHOLE = Origin("/data/in/a.csv", split="all", key="all")


@pytest.mark.parametrize(
    ("selection", "is_taken"),
    [
        (Selection(), True),
        (Selection(source="/data/in/a.csv"), True),
        (Selection(source="a.csv"), True),
        (Selection(source="in/a.csv"), True),
        (Selection(source=".csv"), False),
        (Selection(source="/in/a.csv"), False),
        (Selection(source="/other/a.csv"), False),
        (Selection(split="Sex"), True),
        (Selection(split="S"), False),
        (Selection(category="M"), True),
        (Selection(category="Sex=M"), True),
        (Selection(category="F"), False),
        (Selection(split="Sex", category="M", source="a.csv"), True),
        (Selection(split="Rings", category="M"), False),
        (Selection(code="number"), False),
    ],
)
def test_each_filter_decides(selection: Selection, *, is_taken: bool) -> None:
    assert selection(MALE) is is_taken


def test_a_row_that_does_not_say_what_is_asked_for_is_not_taken() -> None:
    asked = [Selection(source="a.csv"), Selection(split="Sex"), Selection(category="M"), Selection(code="number")]
    assert not any(each(Origin()) for each in asked)
    assert Selection()(Origin())


def test_a_split_without_columns_has_its_own_name_as_category() -> None:
    assert Selection(category="all")(WHOLE)
    assert not Selection(category="M")(WHOLE)


def test_a_rejection_for_every_split_is_asked_for_by_an_empty_name() -> None:
    of_ingest, of_split = Origin("/a.csv", split="", code="fields"), Origin("/a.csv", split="Sex", code="number")
    assert [Selection(split="")(each) for each in (of_ingest, of_split)] == [True, False]
    assert [Selection(code="number")(each) for each in (of_ingest, of_split)] == [False, True]


def test_the_first_topic_that_has_what_is_asked_for_is_read() -> None:
    assert Selection().stages([]) == (Stage.ROWS,)
    assert Selection(source="a").stages([]) == (Stage.ROWS,)
    assert Selection(split="Sex").stages([]) == (Stage.CATEGORIZED,)
    assert Selection(category="M").stages([]) == (Stage.CATEGORIZED,)
    assert Selection(code="number").stages([]) == (Stage.REJECTED,)
    assert Selection(split="Sex", code="number").stages([]) == (Stage.REJECTED,)


def test_the_topics_that_are_named_are_read_each_once() -> None:
    assert Selection().stages([Stage.REJECTED, Stage.ROWS, Stage.REJECTED]) == (Stage.REJECTED, Stage.ROWS)


@pytest.mark.parametrize(
    ("selection", "named", "told"),
    [
        (Selection(category="M"), [Stage.ROWS], "--category: rows of rows have none; those of categorized do"),
        (Selection(code="number"), [Stage.CATEGORIZED], "--code: rows of categorized have none; those of rejected do"),
        (Selection(category="M", code="number"), [], "no topic has rows to be asked for --category and --code"),
    ],
)
def test_what_a_topic_does_not_have_is_refused(selection: Selection, named: list[Stage], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        selection.stages(named)
