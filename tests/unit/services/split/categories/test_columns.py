"""A column that is missing: the line that says so, and which one may be meant."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows.schema import Schema
from services.split.categories.columns import doubled_columns, explain_missing_column, find_column, quote_name
from services.split.categories.splits import Column, parse_split_by

NFC = "Größe"
NFD = unicodedata.normalize("NFD", NFC)


def explained(ref: str | int, *names: str) -> str:
    return explain_missing_column(Column(ref), Schema(b"header", names))


@pytest.mark.parametrize(
    ("ref", "names", "line"),
    [
        ("S", ("id", " S"), 'no column S: did you mean " S" with other blanks, which is #2?'),
        ("S", ("id", "S\xa0"), 'no column S: did you mean "S\\xa0" with other blanks, which is #2?'),
        ("S", ("\ufeffS",), 'no column S: did you mean "\\ufeffS" with other blanks, which is #1?'),
        ("S", ("\u200bS", "s"), 'no column S: did you mean "\\u200bS" with other blanks, which is #1?'),
        ("A B", ("A  B",), 'no column A B: did you mean "A  B" with other blanks, which is #1?'),
        (
            NFC,
            (NFD, "id"),
            f'no column {NFC}: did you mean "Gro\\u0308ße" in another Unicode form (SPLIT_BY has NFC), which is #1?',
        ),
        (
            NFD,
            ("id", NFC),
            f'no column {NFD}: did you mean "{NFC}" in another Unicode form (SPLIT_BY has NFD), which is #2?',
        ),
        ("S", ("S;N",), 'no column S: "S;N" has it between semicolons: is DELIMITER right?'),
        ("Length", ("Sex,Length",), 'no column Length: "Sex,Length" has it between commas: is DELIMITER right?'),
        ("N", ('"S"\t"N"',), 'no column N: """S""\\t""N""" has it between tabs: is DELIMITER right?'),
        ("sex", ("id", "Sex"), 'no column sex: did you mean "Sex", which is #2?'),
        ("Lenght", ("Length", "Height"), 'no column Lenght: did you mean "Length", which is #1?'),
        ("x", ("a", ""), 'no column x: there are "a", ""'),
        ("x", ("a",), 'no column x: there is "a"'),
        ("", ("a", "b"), 'no column : there are "a", "b"'),
        (3, ("a", "b"), "no column #3: there are 2"),
        (
            "Zz",
            tuple(map(str, range(100))),
            'no column Zz: there are "0", "1", "2", "3", "4", "5", "6", "7" and 92 more',
        ),
    ],
)
def test_the_line_on_a_missing_column(ref: str | int, names: tuple[str, ...], line: str) -> None:
    assert explained(ref, *names) == line


def test_without_a_header_columns_are_named_by_position() -> None:
    line = explain_missing_column(Column("Sex"), Schema(None, ("#1", "#2")))
    assert line == "no column Sex: HEADER=none, so the columns are #1 to #2"


def test_a_name_that_is_there_twice_is_reported_with_the_position_of_the_second() -> None:
    [split] = parse_split_by("a+b")
    assert doubled_columns(split, Schema(b"a,b,a", ("a", "b", "a"))) == [
        "column a is there 2 times: the first one is used, #1. For another, name it by position, as in #3"
    ]
    assert not doubled_columns(split, Schema(b"a,b", ("a", "b")))


NAMES = st.text(max_size=12)


@given(NAMES, st.lists(NAMES, min_size=1, max_size=6))
def test_a_line_is_one_line_and_may_be_kept_with_every_row(ref: str, names: list[str]) -> None:
    schema = Schema(b"header", tuple(names))
    column = Column(ref)
    if find_column(column, schema) is None:
        line = explain_missing_column(column, schema)
        assert len(line.splitlines()) == 1
        assert line.encode()
    assert all(quote_name(name).isprintable() for name in names)


def test_long_names_cost_no_time() -> None:
    line = explained("Sx", *(["y" * 100_000] * 3_000))
    assert len(line) < 1_000
