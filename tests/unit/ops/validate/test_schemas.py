import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.pipeline.schema_numbers import Registered, number_schema
from common.rows.schema import Dialect, Schema
from common.rows.schema_differences import differences, find_closest, list_names, show_name
from ops.validate.columns import ColumnFields, with_fields
from ops.validate.examination import ExaminedSource
from ops.validate.schemas import dissent, group_by_schema

COLUMNS = st.lists(st.sampled_from(["a", "b", "c", "A", ""]), min_size=1, max_size=5).map(tuple)


def schema(*columns: str) -> Schema:
    return Schema(",".join(columns).encode(), columns)


@given(COLUMNS, COLUMNS)
def test_schemas_differ_in_nothing_only_if_they_are_the_same(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    found = differences(schema(*one), schema(*other))
    assert (not found) == (one == other)
    assert ("columns in another order" in found) == (sorted(one) == sorted(other) and one != other) or any(
        phrase.startswith(("added", "missing")) for phrase in found
    )


@given(COLUMNS, COLUMNS)
def test_a_column_that_one_schema_adds_is_missing_in_the_other(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    there, back = differences(schema(*one), schema(*other)), differences(schema(*other), schema(*one))
    turned = [phrase.replace("added", "?").replace("missing", "added").replace("?", "missing") for phrase in back]
    assert sorted(map(sorted, there)) == sorted(map(sorted, turned))


def test_each_difference_has_its_phrase() -> None:
    first = schema("a", "b", "c")
    assert differences(first, schema("c", "a", "d")) == ["added d", "missing b", "columns in another order"]
    # A repeated name is one more column, not another order.
    assert differences(schema("a", "b"), schema("a", "b", "a")) == ["added a"]
    other = Schema(b"a;b;c", first.columns, Dialect(b";", b"'", b"\r\n", "cp1252"))
    assert differences(first, other) == [
        "delimiter semicolon, not comma",
        "quote single, not double",
        "line ending CRLF, not LF",
        "encoding cp1252, not utf-8",
    ]
    assert differences(first, Schema(b'"a",b,c', first.columns)) == ["the same column names, written with other bytes"]


def test_schemas_keep_their_number_and_new_ones_get_the_next() -> None:
    known = {schema("a").id: Registered(4, schema("a"))}
    assert number_schema(known, schema("a")).number == 4
    assert number_schema(known, schema("b")) == Registered(5, schema("b"))
    assert number_schema({}, schema("b")).number == 1


def test_sources_are_grouped_by_schema_and_their_columns_put_together() -> None:
    one, two = schema("a"), schema("b")
    ints, words = with_fields(ColumnFields(), [b"1", b""]), with_fields(ColumnFields(), [b"x"])
    sources = [
        ExaminedSource("1", two, 1, columns=(words,)),
        ExaminedSource("2", one, 2, columns=(ints,)),
        ExaminedSource("3"),
        ExaminedSource("4", one, 1, columns=(words,)),
        ExaminedSource("5", one, 2, columns=(ints,)),
        # A source with a header alone.
        ExaminedSource("6", one),
    ]
    known = {one.id: Registered(2, one), two.id: Registered(7, two)}
    first, second = group_by_schema(sources, known)
    assert [source.name for source in first.sources] == ["2", "4", "5", "6"]
    assert first.columns == (ColumnFields((), 3, 2),)
    assert dissent(first, 0) == "int except in 4 (text)"
    assert (second.registered.number, second.differences) == (7, ("added b", "missing a"))
    assert dissent(second, 0) == ""


def test_names_are_shown_on_one_line() -> None:
    assert list_names([*"abcdefghij"]) == "a, b, c, d, e, f, g, h and 2 more"
    assert show_name("a b") == "a b"
    assert show_name(" ") == "' '"
    assert show_name("a\nb") == "'a\\nb'"
    assert len(show_name("x" * 1000)) == 60


def test_a_schema_is_compared_with_the_one_that_it_is_most_like() -> None:
    plain, renamed, other = schema("a", "b", "c"), schema("a", "b", "d"), schema("x", "y", "z")
    assert find_closest(plain, [other, renamed]) == renamed
    assert find_closest(schema("c", "b", "a"), [other, renamed, plain]) == plain
    assert find_closest(schema("a", "b", "c", "e"), [renamed, plain]) == plain
    # One of two columns has another name.
    assert find_closest(schema("a", "f"), [other, schema("a", "b")]) == schema("a", "b")
    assert find_closest(Schema(b"a;b", ("a", "b"), Dialect(b";")), [schema("a", "b")]) == schema("a", "b")


@pytest.mark.parametrize("columns", ["x", "ax", "pqr", "aqrstu"])
def test_a_schema_that_shares_little_is_close_to_none(columns: str) -> None:
    assert find_closest(schema(*columns), [schema(*"bcde"), schema("a", *"vwyz")]) is None
    assert find_closest(schema(*columns), []) is None
