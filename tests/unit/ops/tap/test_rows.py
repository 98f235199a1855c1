"""A row as text and as JSON, whatever is in it."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows.schema import Dialect, Schema
from ops.tap.origins import Origin, Stage
from ops.tap.rows import MOST_BYTES, MOST_SHOWN, Layout, Place, Row, as_json, as_text

TEXT = (
    st.none()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.text("\x1b[\n\u202e\x9b", max_size=9)
)
ORIGINS = st.builds(Origin, source=TEXT, split=TEXT, category=TEXT, key=TEXT, code=TEXT, reason=TEXT)
VALUES = st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass"))
NUMBER = st.none() | st.integers(0, 2**63)
A = Origin("/a.csv")


def row_of(value: bytes, stage: Stage = Stage.ROWS, origin: Origin = A, encoding: str = "utf-8") -> Row:
    return Row(Place(stage, f"nacre.{stage}", 3, 1_700), 88, origin, 7, 99, value, len(value), encoding)


@given(st.sampled_from(Stage), ORIGINS, VALUES, NUMBER, NUMBER, st.sampled_from(["utf-8", "cp1252", "shift_jis"]))
def test_text_is_one_line_that_a_terminal_does_not_obey(
    stage: Stage, origin: Origin, value: bytes, line: int | None, offset: int | None, encoding: str
) -> None:
    row = Row(Place(stage, "nacre.rows", 0, 0), 1, origin, line, offset, value, len(value), encoding)
    text = as_text(row)
    assert text.endswith("\n")
    assert text[:-1].isprintable()


@given(st.sampled_from(Stage), ORIGINS, VALUES, st.sampled_from(["utf-8", "cp1252", "gb18030"]))
def test_json_is_one_line_with_the_row_as_text_or_else_its_exact_bytes(
    stage: Stage, origin: Origin, value: bytes, encoding: str
) -> None:
    line = as_json(row_of(value, stage, origin, encoding))
    assert line.count(b"\n") == 1
    fields = orjson.loads(line)
    if "row_base64" in fields:
        assert base64.b64decode(fields["row_base64"]) == value
        with pytest.raises(UnicodeDecodeError):
            value.decode(encoding)
    else:
        assert fields["row"] == value.decode(encoding)


def test_json_of_each_stage_has_its_fields() -> None:
    place = {"topic": "nacre.rows", "partition": 3, "kafka_offset": 88, "timestamp_ms": 1_700, "source": "/a.csv"}
    assert orjson.loads(as_json(row_of(b"M,1"))) == {"stage": "rows", **place, "line": 7, "offset": 99, "row": "M,1"}
    place["topic"] = "nacre.categorized"
    male = Origin("/a.csv", split="Sex", category="M", key="Sex=M")
    assert orjson.loads(as_json(row_of(b"M,1", Stage.CATEGORIZED, male))) == {
        "stage": "categorized",
        **place,
        "split": "Sex",
        "category": "M",
        "key": "Sex=M",
        "row": "M,1",
    }
    place["topic"] = "nacre.rejected"
    rejected = Origin("/a.csv", split="", code="encoding", reason="not UTF-8")
    assert orjson.loads(as_json(row_of(b"M,\xff", Stage.REJECTED, rejected))) == {
        "stage": "rejected",
        **place,
        "line": 7,
        "offset": 99,
        "split": "",
        "code": "encoding",
        "reason": "not UTF-8",
        "row": "M,\\xff",
        "row_base64": "TSz/",
    }


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (row_of(b"M,1"), "rows-3@88  /a.csv:7 (byte 99)  M,1\n"),
        (
            row_of(b"M\t\xff\x1b[2J", Stage.REJECTED, Origin("/a.csv", split="", code="fields", reason="3 fields")),
            "rejected-3@88  /a.csv:7 (byte 99)  [every split: fields]  3 fields  M\\t\\xff\\x1b[2J\n",
        ),
        (row_of(b"\xe4", encoding="cp1252"), "rows-3@88  /a.csv:7 (byte 99)  ä\n"),
        (
            Row(Place(Stage.CATEGORIZED, "t", 0, 0), 5, Origin("/a.csv", key="Sex=M"), None, None, b"M", 1, "utf-8"),
            "categorized-0@5  Sex=M  /a.csv  M\n",
        ),
        (
            Row(Place(Stage.CATEGORIZED, "t", 0, 0), 5, Origin(), None, None, b"M", 1, "utf-8"),
            "categorized-0@5  (no category)  (source not known)  M\n",
        ),
    ],
)
def test_text_says_where_from_and_what(row: Row, text: str) -> None:
    assert as_text(row) == text


@pytest.mark.parametrize("sign", ["x", "ä", "🐌", "\x1b"])
def test_a_long_row_is_cut_as_text_and_whole_as_json(sign: str) -> None:
    value = sign.encode() * 300_000
    text = as_text(row_of(value))
    assert text.endswith(f"… ({len(value):,} bytes)\n")
    assert len(text) < 6 * MOST_SHOWN
    assert orjson.loads(as_json(row_of(value)))["row"] == sign * 300_000
    # Whether or not the rest of the row was kept.
    kept = row_of(value[:MOST_BYTES])
    assert as_text(Row(kept.place, 88, kept.origin, 7, 99, kept.value, len(value), "utf-8")) == text


def test_a_row_of_just_the_most_is_not_cut() -> None:
    assert as_text(row_of(b"x" * MOST_SHOWN)).endswith(f"  {'x' * MOST_SHOWN}\n")


@pytest.mark.parametrize("encoding", ["hex", "rot13", "zlib", "no such", "", "\0", "undefined", "idna", "punycode", 5])
def test_an_encoding_that_is_none_of_text_is_taken_as_utf_8(encoding: Any) -> None:
    schema = Schema(None, ("#1",), Dialect(encoding=encoding))
    assert Layout.of(schema) == Layout("utf-8", None)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "shift_jis", "gb18030"])
def test_rows_are_text_in_their_schemas_encoding(encoding: str) -> None:
    assert Layout.of(Schema(None, ("#1",), Dialect(encoding=encoding))) == Layout(encoding, None)


def test_rows_without_a_schema_are_utf_8() -> None:
    assert Layout() == Layout("utf-8", None)
