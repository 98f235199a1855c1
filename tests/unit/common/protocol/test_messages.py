import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.batches.record_runs import Headers
from common.pipeline.registry import decode_schema, encode_schema
from common.pipeline.schema_numbers import Registered
from common.protocol.category_keys import Category, file_key, parse_file_key
from common.protocol.messages import Control, Ended, Mark, SourceMark, decode_control, encode_control, row_eol
from common.protocol.progress import Progress, decode_progress, encode_progress
from common.protocol.rejections import Rejection, decode_rejection, encode_rejection
from common.rows.schema import Dialect, Schema
from common.rows.tally import Tally, tally

COUNTS = st.integers(0, 2**53)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ROWS = st.lists(st.binary(max_size=12), max_size=12)
TALLIES = st.builds(Tally, COUNTS, COUNTS, st.integers(0, 2**64 - 1))
EOLS = st.sampled_from([b"", b"\n", b"\r\n", b"\r"])
MARKS = st.builds(Mark, TEXTS, TEXTS, COUNTS, COUNTS, EOLS, st.booleans(), TEXTS)
SOURCE_MARKS = st.builds(SourceMark, TEXTS, TEXTS, st.none() | EOLS, COUNTS)
ENDS = st.builds(Ended, TEXTS, TALLIES, COUNTS, st.integers(1, 99))


@given(MARKS.map(lambda mark: replace(mark, read_ms=1)) | SOURCE_MARKS | ENDS)
def test_a_control_record_is_read_as_it_was_written(control: Control) -> None:
    value, headers = encode_control(control)
    assert decode_control(headers, value) == control


@given(MARKS | ENDS)
def test_a_control_record_of_the_first_format_is_read_as_it_was_written(control: Mark | Ended) -> None:
    value, headers = encode_control(control, 1)
    assert decode_control(headers, value) == control


@pytest.mark.parametrize(("row", "breaks"), [(b'"a\nb"', 1), (b'"a\rb"', 1), (b'"a\r\nb"', 1), (b'"a\r\r\n\n"', 3)])
def test_every_line_break_within_quotes_moves_a_mark_one_line_down(row: bytes, breaks: int) -> None:
    mark = Mark("s", "id", line=2, offset=4, eol=b"\n", plain=False)
    assert mark.passed([row]).line == 3 + breaks


def test_a_row_with_its_own_line_ending_is_no_control_record() -> None:
    headers = [("eol", b"\r\n")]
    assert decode_control(headers, b"a,b") is None
    assert row_eol(headers) == b"\r\n"
    assert row_eol([]) is None


@given(TEXTS, TEXTS, st.lists(st.none() | TEXTS, max_size=3).map(tuple))
def test_a_category_key_gives_its_category_back(schema: str, split: str, category: Category) -> None:
    assert parse_file_key(file_key(schema, split, category)) == (schema, split, category)


def test_an_empty_field_has_another_key_than_any_text() -> None:
    keys = {file_key("s", "Sex", (part,)) for part in (None, "", "null", "None", "~empty")}
    assert len(keys) == 5


@given(st.builds(Rejection, TEXTS, COUNTS, COUNTS, TEXTS, TEXTS, st.binary()))
def test_a_rejection_is_read_as_it_was_written(rejection: Rejection) -> None:
    value, headers = encode_rejection(rejection)
    assert decode_rejection(headers, value) == rejection


@given(st.builds(Progress, TEXTS, TEXTS, COUNTS, COUNTS, TALLIES, COUNTS, st.booleans(), st.booleans(), TEXTS, TEXTS))
def test_progress_is_read_as_it_was_written(progress: Progress) -> None:
    assert decode_progress(encode_progress(progress)) == progress


@given(st.none() | st.binary(), st.lists(TEXTS, max_size=4).map(tuple), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_schema_is_read_as_it_was_written(header: bytes | None, columns: tuple[str, ...], eol: bytes) -> None:
    registered = Registered(3, Schema(header, columns, Dialect(eol=eol), "json"))
    assert decode_schema(encode_schema(registered)) == registered


def test_schemas_differ_by_header_line_ending_and_row_format() -> None:
    schemas = [
        Schema(b"a,b", ("a", "b")),
        Schema(b"a,c", ("a", "c")),
        Schema(None, ("a", "b")),
        Schema(b"", ("a", "b")),
        Schema(b"a,b", ("a", "b"), Dialect(eol=b"\r\n")),
        Schema(b"a,b", ("a", "b"), row_format="json"),
    ]
    assert len({schema.id for schema in schemas}) == len(schemas)
    assert Schema(b"a,b", ("a", "b")).id == schemas[0].id


def test_repeated_column_names_become_distinct_keys() -> None:
    assert Schema(b"", ("a", "b", "a", "a#3", "a")).keys == ("a", "b", "a#3", "a#3#4", "a#5")
    assert len(set(Schema(b"", ("a", "a#2", "a", "a#3", "a")).keys)) == 5


@given(ROWS, ROWS)
def test_a_tally_is_the_sum_of_its_parts_in_any_order(some: list[bytes], others: list[bytes]) -> None:
    assert tally(some) + tally(others) == tally(others + some)


@given(ROWS.filter(bool), st.data())
def test_a_tally_tells_a_missing_and_a_doubled_row(rows: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    assert tally(rows[:index] + rows[index + 1 :]) != tally(rows)
    assert tally([*rows, rows[index]]) != tally(rows)


def test_a_tally_tells_a_changed_row() -> None:
    assert tally([b"M,15", b"F,7"]).checksum != tally([b"M,17", b"F,5"]).checksum


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([("nacre", b"mark")], b'{"source": "a"}'),
        ([("nacre", b"mark/2")], b"[]"),
        ([("nacre", b"ended")], b'{"source": "a", "tally": 1, "rejected": 0, "parts": 1}'),
        ([("nacre", b"source/3")], b"{}"),
        ([("nacre", b"source/2")], b"no JSON"),
    ],
)
def test_a_foreign_control_record_is_a_value_error(headers: Headers, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"not one that Nacre writes|newer version|literal"):
        decode_control(headers, value)


def test_a_foreign_rejection_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not one that Nacre writes"):
        decode_rejection([], b"x")
