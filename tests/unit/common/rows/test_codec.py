import csv
import io
import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.rows.codec import JsonCodec, join_fields, json_field_reader, parse_fields
from common.rows.schema import Dialect, Schema
from tests.harness.schemas import ABALONE

COMMA = Dialect()
ROW = b"M,0.455,0.365,0.0950,0.514,0.2245,0.101,0.15,15"
VALUE = (
    b'{"Sex":"M","Length":0.455,"Diameter":0.365,"Height":0.0950,"Whole weight":0.514,'
    b'"Shucked weight":0.2245,"Viscera weight":0.101,"Shell weight":0.15,"Rings":15}'
)
TWO = Schema(b"a,b", ("a", "b"))

SOUP = st.lists(st.sampled_from([b'"', b'""', b",", b"\n", b"\r", b"a", b"\0", b"\xff"]), max_size=10).map(b"".join)
TEXT = st.text(st.sampled_from('",\r\n\0\\/a\u00e4\u20ac\U0001f40c{}:19.-e+ \t\x1f\x7f'), max_size=6) | st.text(
    max_size=6
)
FIELD = TEXT | st.sampled_from(["1", "-0.50", "1e5", "07", "+7", ".5", "NaN", "12", "null", "true", "-", ""])
KEYS = st.sampled_from(
    ["Rings", "a", 'x"Rings', "a,", ":1,", ",", "}", " ", "", "\\", "%b", "100%", "\u00e4", "\n", "(a)"]
)
DIALECTS = st.sampled_from([COMMA, Dialect(b";", b"'"), Dialect(b"\t"), Dialect(b".", b"-"), Dialect(b"5", b"e")])


@given(SOUP)
@example(b'"a""b",c')
@example(b'a"b')
def test_fields_are_those_csv_reads_in_strict_mode(row: bytes) -> None:
    try:
        expected = list(csv.reader(io.StringIO(row.decode("latin-1"), newline=""), strict=True))
    except csv.Error:
        if b'"' in row:
            with pytest.raises(ValueError, match=r"^not a CSV record: "):
                parse_fields(row, COMMA)
        return
    if len(expected) == 1 and expected[0] and row[-1:] not in (b"\r", b"\n"):
        assert parse_fields(row, COMMA) == [field.encode("latin-1") for field in expected[0]]


def test_an_empty_record_is_one_empty_field() -> None:
    assert parse_fields(b"", COMMA) == [b""]
    assert parse_fields(b'""', COMMA) == [b""]
    assert join_fields([b""], COMMA) == b""


@pytest.mark.parametrize("row", [b'"a', b'"a"b', b'a,"b""', b'"'])
def test_wrong_quotes_are_an_error(row: bytes) -> None:
    with pytest.raises(ValueError, match="not a CSV record"):
        parse_fields(row, COMMA)


def test_fields_of_ten_megabytes_and_all_bytes_pass() -> None:
    large = bytes(range(256)) * 40_000
    row = join_fields([large, b"b"], COMMA)
    assert parse_fields(row, COMMA) == [large, b"b"]


@given(st.lists(st.binary(max_size=4) | SOUP, min_size=1, max_size=4), DIALECTS)
def test_joined_fields_come_apart_again(fields: list[bytes], dialect: Dialect) -> None:
    assert parse_fields(join_fields(fields, dialect), dialect) == fields


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ([b"a", b"", b" c"], b"a,, c"),
        ([b"a,b", b"c"], b'"a,b",c'),
        ([b'say "x"', b"c"], b'"say ""x""",c'),
        ([b"a\nb", b"c\rd", b"e"], b'"a\nb","c\rd",e'),
        ([b"", b""], b","),
        ([b"a\rb"], b'"a\rb"'),
    ],
)
def test_only_what_needs_quotes_is_quoted(fields: list[bytes], row: bytes) -> None:
    assert join_fields(fields, COMMA) == row


def test_an_abalone_row_is_written_with_its_numbers_as_they_are() -> None:
    codec = JsonCodec(ABALONE)
    assert codec.encode(ROW) == VALUE
    assert codec.decode(VALUE) == ROW


@pytest.mark.parametrize("number", ["0", "-0", "15", "0.4550", "1e5", "1E+05", "-12.50e-3", "9" * 5000, "1e999"])
def test_numbers_stay_numbers_digit_for_digit(number: str) -> None:
    codec = JsonCodec(TWO)
    for row in (f"{number},x", f'"{number}","x,"'):
        assert codec.encode(row.encode()).startswith(b'{"a":%b,' % number.encode())
    value = b'{"a":%b,"b":"x"}' % number.encode()
    spaced = value.replace(b":", b" : ")
    assert codec.decode(value) == codec.decode(spaced) == b"%b,x" % number.encode()
    assert json_field_reader(TWO, 0)(value) == json_field_reader(TWO, 0)(spaced) == number.encode()


@pytest.mark.parametrize(
    "text", ["07", "+7", ".5", "5.", "NaN", "Infinity", "-", "1e", "0x1", " 1", "1 ", "", "1_0", "\u0661"]
)
def test_what_json_does_not_call_a_number_is_a_string(text: str) -> None:
    codec = JsonCodec(TWO)
    for row in (f"x,{text}".encode(), f'"x","{text}"'.encode()):
        assert codec.encode(row) == f'{{"a":"x","b":"{text}"}}'.encode()
        assert codec.decode(codec.encode(row)) == f"x,{text}".encode()


@st.composite
def tables(draw: st.DrawFn) -> tuple[Schema, list[bytes]]:
    """A schema and the fields of one of its rows."""
    keys = draw(st.lists(KEYS, min_size=1, max_size=5))
    fields = draw(st.lists(FIELD.filter(_is_utf8), min_size=len(keys), max_size=len(keys)))
    return Schema(None, tuple(keys), draw(DIALECTS)), [field.encode() for field in fields]


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@given(tables())
@example((Schema(None, ("a,", ":1,")), [b"1", b"5"]))
@example((Schema(None, ('x"Rings', "Rings")), [b"1", b"5"]))
@example((Schema(None, ("a", "Rings")), [b'"Rings":7,', b"5"]))
@example((TWO, [b"caf\xc3\xa9", b"1"]))
def test_rows_come_back_from_json_and_mean_the_same_to_other_readers(table: tuple[Schema, list[bytes]]) -> None:
    schema, fields = table
    codec = JsonCodec(schema)
    row = join_fields(fields, schema.dialect)
    value = codec.encode(row)
    assert codec.decode(value) == row
    assert codec.fields(value) == fields
    # As another JSON library reads it, and as that library writes it.
    read = json.loads(value, parse_int=str, parse_float=str)
    assert list(read) == list(schema.keys)
    assert [text.encode() for text in read.values()] == fields
    orjson.loads(value)
    for index, field in enumerate(fields):
        assert json_field_reader(schema, index)(value) == field
    texts = {key: read[key] for key in reversed(read)}
    for other in (
        json.dumps(texts),
        json.dumps(texts, ensure_ascii=False, indent=1),
        json.dumps(texts, separators=(",", ":")),
    ):
        assert codec.decode(other.encode()) == row
        for index, field in enumerate(fields):
            assert json_field_reader(schema, index)(other.encode()) == field


@given(tables())
def test_the_quick_and_the_general_encoding_are_twins(table: tuple[Schema, list[bytes]]) -> None:
    schema, fields = table
    codec = JsonCodec(schema)
    row = join_fields(fields, schema.dialect)
    quote = schema.dialect.quote
    all_quoted = schema.dialect.delimiter.join(quote + field.replace(quote, quote * 2) + quote for field in fields)
    assert codec.encode(row) == codec.encode(all_quoted)
    assert codec.encode_usual([row]) in ([None], [codec.encode(row)])
    assert codec.decode_all([codec.encode(row)]) == [row]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW.removesuffix(b",15"), "^8 fields, the header has 9$"),
        (ROW + b",1", "^10 fields, the header has 9$"),
        (b"", "^1 field, the header has 9$"),
        (b"\xff" + ROW, "^not UTF-8$"),
        (b'"\xff",' + ROW[2:], "^not UTF-8$"),
        (b'"M"x' + ROW[1:], "^not a CSV record"),
    ],
)
def test_a_row_that_cannot_be_json_says_why(row: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        JsonCodec(ABALONE).encode(row)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"a":1}', "no key 'b'"),
        (b'{"a":1,"b":2,"c":3}', "3 keys, the header has 2"),
        (b'{"a":1,"b":null}', "'b' is neither"),
        (b'{"a":true,"b":1}', "'a' is neither"),
        (b'{"a":[1],"b":1}', "'a' is neither"),
        (b'{"a":{"a":1},"b":1}', "'a' is neither"),
        (b'{"a":1,"b":NaN}', "NaN"),
        (b'{"a":1,"b":01}', "not a JSON row"),
        (b'{"a":1","b":1}', "not a JSON row"),
        (b'{"a":"1,"b":1}', "not a JSON row"),
        (b'{"a":"x\ny","b":1}', "not a JSON row"),
        (b'{"a":1,"a":1,"b":1}', "occurs twice"),
        (b'{"a":"\\ud800","b":1}', "no Unicode text"),
        (b'{"a":"\xff","b":1}', "not UTF-8"),
        (b"[1,2]", "not a JSON object"),
        (b"[" * 200_000, "not a JSON row"),
        (b"", "not a JSON row"),
    ],
)
def test_json_that_is_no_row_says_why(value: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        JsonCodec(TWO).decode(value)


def test_a_key_is_no_pattern() -> None:
    schema = Schema(b"a.", ("a.",))
    with pytest.raises(ValueError, match=r"no key 'a.'"):
        JsonCodec(schema).decode(b'{"ab":1}')
    with pytest.raises(ValueError, match=r"no key 'a.'"):
        json_field_reader(schema, 0)(b'{"ab":1}')


@pytest.mark.parametrize(
    "value",
    [b'{"b":1}', b'{"a":null,"b":1}', b'{"a":[1],"b":1}', b'{"a":1.5.2,"b":1}', b'{"a":"\\ud800","b":1}', b"", b"7"],
)
def test_a_field_that_is_absent_or_no_text_is_an_error(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_field_reader(TWO, 0)(value)


@pytest.mark.parametrize("encoding", ["cp1252", "shift_jis", "gb18030"])
def test_rows_in_another_encoding_are_utf8_as_json_and_come_back(encoding: str) -> None:
    text = {"cp1252": "ä,€", "shift_jis": "表,ｱ", "gb18030": "龙,ä"}[encoding]
    codec = JsonCodec(Schema(b"a,b", ("a", "b"), Dialect(encoding=encoding)))
    for row in (text, f'"{text[0]}",{text[2]}'):
        value = codec.encode(row.encode(encoding))
        assert json.loads(value) == {"a": text[0], "b": text[2]}
        assert codec.decode(value) == text.encode(encoding)


def test_what_another_encoding_does_not_hold_or_writes_otherwise_says_why() -> None:
    codec = JsonCodec(Schema(b"a", ("a",), Dialect(encoding="cp1252")))
    with pytest.raises(ValueError, match="not cp1252"):
        codec.encode(b"\x81")
    with pytest.raises(ValueError, match="a character that cp1252 does not have"):
        codec.decode('{"a":"表"}'.encode())
    # Two byte sequences for one character: only the first comes back.
    doubled = JsonCodec(Schema(b"a", ("a",), Dialect(encoding="cp932")))
    assert b"\x81\xca".decode("cp932") == b"\xee\xf9".decode("cp932")
    with pytest.raises(ValueError, match="JSON could not give it back"):
        doubled.encode(b"\xee\xf9")


def test_where_nothing_is_quoted_a_field_is_what_is_between_delimiters() -> None:
    bare = Dialect(delimiter=b"\t", quote=b"")
    codec = JsonCodec(Schema(b"a\tb", ("a", "b"), bare))
    row = b'"x\ty""'
    assert parse_fields(row, bare) == [b'"x', b'y""']
    assert codec.decode(codec.encode(row)) == row
    with pytest.raises(ValueError, match="QUOTE is none"):
        join_fields([b"a\tb", b"c"], bare)
