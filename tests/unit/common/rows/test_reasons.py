"""Every rejection has a code from the list, whichever part of the way it comes from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows.codec import JsonCodec
from common.rows.reasons import Code, RowError, reason_of
from common.rows.schema import Dialect, Schema
from services.ingest.parsing.framing import Reject, frame
from services.split.categories.routing import compile_route
from services.split.categories.splits import parse_split_by

SCHEMA = Schema(b"a,b", ("a", "b"))
JSON = Schema(b"a,b", ("a", "b"), row_format="json")
PIECES = [b"a", b"1", b",", b'"', b"\n", b"\r", b"\r\n", b"\xff", b"\\", b" ", b"a,1\n", b"long" * 20]
SOUP = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
VALUES = st.lists(st.sampled_from([b'{"a":', b'"b":', b"1", b'"x"', b"}", b",", b"[", b"\xff", b"null"]), max_size=7)
SPLITS = "i=a:int,f=b:float,bin=#2:float/0.5,t=a,none"


def code_of_line(line: bytes) -> list[Code]:
    framed = frame(line, dialect=Dialect(), columns=2, line=1, offset=0, at_end=True, max_row_bytes=30)
    return [part.reason.code for part in framed.frames if isinstance(part, Reject)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\n", Code.BLANK_LINE),
        (b"a\n", Code.FIELDS),
        (b"a,b,c\n", Code.FIELDS),
        (b'a,"b\n', Code.QUOTES),
        (b'a,"b"c\n', Code.QUOTES),
        (b"a," + b"b" * 40 + b"\n", Code.TOO_LONG),
    ],
)
def test_a_line_that_is_no_row_has_a_code(line: bytes, code: Code) -> None:
    assert code_of_line(line) == [code]


@pytest.mark.parametrize(
    ("split", "row", "code"),
    [
        ("none", b"x,1", Code.COLUMN),
        ("a:int", b"x,1", Code.NUMBER),
        ("b:float/0.5", b"x,1e9999999", Code.NUMBER),
        ("a", b"\xff,1", Code.ENCODING),
        ("a", b"x" * 70_000 + b",1", Code.CATEGORY),
    ],
)
def test_a_row_without_a_category_has_a_code(split: str, row: bytes, code: Code) -> None:
    [parsed] = parse_split_by(split)
    routed = compile_route(parsed, SCHEMA, 1)([row], True)  # noqa: FBT003 - a route takes it by position
    assert [reason.code for _, reason in routed.rejects] == [code]


@given(SOUP)
def test_no_line_is_rejected_for_another_reason(data: bytes) -> None:
    assert Code.OTHER not in code_of_line(data)


@given(st.lists(SOUP, max_size=4), st.lists(VALUES.map(b"".join), max_size=4), st.booleans())
def test_no_row_lacks_a_category_for_another_reason(rows: list[bytes], values: list[bytes], plain: bool) -> None:  # noqa: FBT001 - drawn
    for split in parse_split_by(SPLITS):
        for schema, given_rows in ((SCHEMA, rows), (JSON, values)):
            routed = compile_route(split, schema, 1)(given_rows, plain and not any(b'"' in row for row in rows))
            assert Code.OTHER not in [reason.code for _, reason in routed.rejects]


def _code_of(codec: JsonCodec, row: bytes) -> Code | None:
    try:
        codec.encode(row)
    except ValueError as error:
        return reason_of(error).code
    return None


@given(SOUP)
def test_no_row_lacks_a_json_form_for_another_reason(row: bytes) -> None:
    for encoding in ("utf-8", "shift_jis"):
        codec = JsonCodec(Schema(b"a,b", ("a", "b"), Dialect(encoding=encoding), "json"))
        assert _code_of(codec, row) is not Code.OTHER


def test_an_error_without_a_code_is_another_reason() -> None:
    assert reason_of(ValueError("why")) == (Code.OTHER, "why")
    assert reason_of(RowError(Code.JSON, "why")) == (Code.JSON, "why")
