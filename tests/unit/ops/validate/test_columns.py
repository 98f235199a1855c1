import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.validate.columns import ColumnFields, merged_fields, with_fields

SAMPLES = [b"", b"7", b"07", b"-1", b" 3 ", b"0.5", b"1e3", b"2026-01-31", b"2026-01-31T10:00", b"M", b"\xff"]
FIELDS = st.lists(st.sampled_from(SAMPLES) | st.binary(max_size=4), max_size=12)


def guess(*fields: bytes) -> str:
    return with_fields(ColumnFields(), fields).guess


@pytest.mark.parametrize(
    ("fields", "guessed"),
    [
        ([], "empty"),
        ([b"", b""], "empty"),
        ([b"7", b"07", b"+7", b"-0", b""], "int"),
        ([b"9" * 1000], "int"),
        ([b"9" * 1001], "text"),
        ([b"7", b"0.5"], "float"),
        ([b".5", b"5.", b"1e3", b" 2 "], "float"),
        ([b"1e101"], "text"),
        # No float category takes this int, so neither type fits all fields.
        ([b"9" * 200, b"0.5"], "text"),
        ([b"nan"], "text"),
        ([b"1,5"], "text"),
        ([b"2026-01-31", b""], "date"),
        ([b"2026-02-30"], "text"),
        ([b"0000-01-01"], "text"),
        ([b"20260131"], "int"),
        ([b"31.01.2026"], "text"),
        ([b"2026-01-31T10:00:00Z"], "timestamp"),
        ([b"2026-01-31 10:00", b"2026-01-31 10:00:59,123456789+0100", b"2026-01-31"], "timestamp"),
        ([b"2026-01-31T24:01"], "text"),
        ([b"2026-01-31", b"7"], "text"),
        ([b"M", b"7"], "text"),
        ([b" "], "text"),
    ],
)
def test_the_guess_is_the_narrowest_type_that_all_fit(fields: list[bytes], guessed: str) -> None:
    assert guess(*fields) == guessed


@given(st.lists(st.integers(), min_size=1))
def test_ints_are_ints(numbers: list[int]) -> None:
    assert guess(*(str(number).encode() for number in numbers)) == "int"


@given(st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1))
def test_exact_decimals_are_floats(numbers: list[Decimal]) -> None:
    assert guess(*(f"{number:f}".encode() for number in numbers)) == "float"


@given(st.lists(st.dates() | st.datetimes(timezones=st.none() | st.just(dt.UTC)), min_size=1))
def test_dates_and_times_that_python_writes_are_recognized(moments: list[dt.date]) -> None:
    only_days = not any(isinstance(moment, dt.datetime) for moment in moments)
    assert guess(*(moment.isoformat().encode() for moment in moments)) == ("date" if only_days else "timestamp")


@given(one=FIELDS, other=FIELDS)
def test_the_cut_into_batches_and_their_order_make_no_difference(one: list[bytes], other: list[bytes]) -> None:
    together = with_fields(ColumnFields(), one + other)
    assert with_fields(with_fields(ColumnFields(), one), other) == together
    assert with_fields(with_fields(ColumnFields(), other), one) == together
    assert merged_fields(with_fields(ColumnFields(), one), with_fields(ColumnFields(), other)) == together


@given(FIELDS)
def test_every_field_is_counted_once(fields: list[bytes]) -> None:
    known = with_fields(ColumnFields(), fields)
    assert known.empty == fields.count(b"")
    assert known.filled + known.empty == len(fields)
