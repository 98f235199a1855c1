"""A reason for the log: what is wrong, without the field's value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows.reasons import RowError
from common.rows.schema import Schema
from services.split.categories.columns import explain_missing_column
from services.split.categories.labels import converter, label_of, without_value
from services.split.categories.splits import parse_split_by
from tests.harness.schemas import ABALONE

SPLITS = ("Rings:int", "Length:float", "Length:float/0.1", "Sex")


@given(st.sampled_from(SPLITS), st.binary(min_size=1))
def test_no_value_of_a_field_is_left_in_a_reason(split_by: str, field: bytes) -> None:
    ((column,),) = (split.columns for split in parse_split_by(split_by))
    try:
        converter(column, "utf-8")(field)
    except RowError as error:
        shown = without_value(str(error))
        kinds = ("not an int", "not a float", "more than 1000 digits", "beyond 1e±100", "not UTF-8")
        assert shown in {f"{label_of(column)}: {what}" for what in kinds}


@pytest.mark.parametrize("schema", [ABALONE])
def test_a_reason_without_a_value_stays_as_it_is(schema: Schema) -> None:
    ((column,),) = (split.columns for split in parse_split_by("Size"))
    for reason in (explain_missing_column(column, schema), "7 fields, the header has 9", ""):
        assert without_value(reason) == reason
