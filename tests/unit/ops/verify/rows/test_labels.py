"""verify's own choice of a category agrees with split's."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.rows.reasons import RowError
from ops.verify.rows.labels import Label, labeller
from services.split.categories.labels import converter
from services.split.categories.splits import Column, Float, Int, Kind, Text

STEPS = st.sampled_from(["0.1", "0.10", "1", "20", "1000", "0.025", "3", ".5", "7.", "0.00000000000000000000000001"])
KINDS: st.SearchStrategy[Kind] = st.one_of(
    st.just(Text()), st.just(Int()), st.just(Float()), st.builds(Float, STEPS.map(Decimal))
)
DIGITS = st.text("0123456789", max_size=30) | st.sampled_from(["0" * 990 + "12345", "9" * 1000, "1" * 1001, "0" * 1001])
NUMBERS = st.builds(
    "{}{}{}{}{}{}{}{}".format,
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from(["", "+", "-", "--"]),
    DIGITS,
    st.sampled_from(["", "."]),
    DIGITS,
    st.sampled_from(["", "e", "E+", "e-", "E"]),
    st.sampled_from(["", "0", "7", "21", "99", "100", "101", "0000000000101", "123456789", "9" * 5_000, "999999"]),
    st.sampled_from(["", " ", "\n"]),
).map(str.encode)
FIELDS = st.one_of(NUMBERS, st.binary(max_size=6), st.floats().map(lambda n: repr(n).encode()))


def by_split(field: bytes, column: Column, encoding: str) -> Label:
    try:
        return converter(column, encoding)(field)
    except RowError as error:
        return error.code


@given(FIELDS, KINDS, st.sampled_from(["utf-8", "latin-1", "cp1252"]))
@example(b"-0", Int(), "utf-8")
@example(b"-0.0e5", Float(), "utf-8")
@example(b"-0.05", Float(Decimal("0.1")), "utf-8")
@example(b"0e" + b"9" * 5_000, Float(Decimal(1)), "utf-8")
@example(b"-1e-100", Float(Decimal("0.1")), "utf-8")
@example(b"\xb2", Int(), "latin-1")
@example(b"-1.7666675136517775e+31", Float(Decimal(3)), "utf-8")
def test_a_label_is_that_of_split(field: bytes, kind: Kind, encoding: str) -> None:
    column = Column("c", kind)
    assert labeller(column, encoding)(field) == by_split(field, column, encoding)


@pytest.mark.parametrize(
    ("field", "kind", "label"),
    [
        (b"+007", Int(), "7"),
        (b"5e-1", Float(), "0.5"),
        (b"-0.05", Float(Decimal("0.1")), "-0.1"),
        (b"0.46", Float(Decimal("0.10")), "0.40"),
        (b"1e21", Float(), "1e21"),
        (b"", Int(), None),
    ],
)
def test_a_label_is_what_the_page_of_splits_says(field: bytes, kind: Kind, label: Label) -> None:
    assert labeller(Column("c", kind), "utf-8")(field) == label
