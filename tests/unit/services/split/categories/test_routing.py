import csv
import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation, localcontext
from fractions import Fraction

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.protocol.category_keys import Category, parse_row_key, row_key
from common.protocol.partitioner import partition_for
from common.rows.codec import json_field_reader, parse_fields
from common.rows.schema import Dialect, Schema
from services.split.categories import decisions
from services.split.categories.routing import compile_route
from services.split.categories.splits import Column, Float, Int, Kind, Split, Text, parse_split_by
from tests.harness.pipeline import PROJECT
from tests.harness.row_spans import spans_of
from tests.harness.schemas import ABALONE

PLAIN, MIXED = True, False
PARTITIONS = 7

ROWS = (PROJECT / "data" / "abalone_full.csv").read_bytes().split(b"\n")[1:-1]


def _split(text: str) -> Split:
    (split,) = parse_split_by(text)
    return split


@dataclass(frozen=True)
class Routed:
    """A batch, routed, with each category in place of its destination."""

    groups: dict[Category, list[bytes]]
    rejects: list[tuple[int, str]]


def _route(split: Split, schema: Schema) -> Callable[[list[bytes], bool], Routed]:
    """Compile a route that checks every destination."""
    route = compile_route(split, schema, PARTITIONS)

    def checked(rows: list[bytes], plain: bool) -> Routed:  # noqa: FBT001 - as a route takes it
        routed = route(rows, plain)
        assert route(spans_of(rows), plain) == routed
        groups = {}
        for (key, partition), group in routed.groups.items():
            split_name, category = parse_row_key(key)
            assert split_name == split.name
            assert partition == partition_for(key, PARTITIONS)
            assert category not in groups
            groups[category] = list(group)
        return Routed(groups, [(index, reason.text) for index, reason in routed.rejects])

    return checked


def _part(kind: str, field: bytes) -> str | None:
    """Route one row with one column."""
    routed = _route(_split("x:" + kind), Schema(b"x", ("x",)))([field], PLAIN)
    if routed.rejects:
        raise ValueError(routed.rejects[0][1])
    ((part,),) = routed.groups
    return part


def _refused(kind: str, field: bytes) -> str:
    with pytest.raises(ValueError, match=r"^x: ") as caught:
        _part(kind, field)
    reason = str(caught.value)
    assert reason.isprintable()
    return reason


# The plain twin: row by row, field by field, with Python's own csv, int and Decimal.


def route_plain(split: Split, schema: Schema, rows: list[bytes]) -> Routed:
    routed = Routed({}, [])
    for index, row in enumerate(rows):
        try:
            category = tuple(_plain_part(column, schema, row) for column in split.columns)
        except ValueError as error:
            routed.rejects.append((index, str(error)))
        else:
            routed.groups.setdefault(category, []).append(row)
    return routed


def _plain_part(column: Column, schema: Schema, row: bytes) -> str | None:
    at = column.ref - 1 if isinstance(column.ref, int) else schema.columns.index(column.ref)
    field = json_field_reader(schema, at)(row) if schema.row_format == "json" else parse_fields(row, schema.dialect)[at]
    if not field:
        return None
    return _plain_label(column, field.decode())


def _plain_label(column: Column, text: str) -> str:
    bare = text.strip(" \t")
    match column.kind:
        case Text():
            return text
        case Int():
            if not re.fullmatch(r"[+-]?[0-9]+", bare):
                raise ValueError(f"{column.label}: not an int: {text!r}")
            return str(int(bare))
        case Float(step=step):
            if "_" in bare or bare != bare.strip() or not bare.isascii() or not _is_finite(bare):
                raise ValueError(f"{column.label}: not a float: {text!r}")
            return _plain_number(Decimal(bare)) if step is None else _plain_bin(Decimal(bare), step)


def _is_finite(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _plain_number(number: Decimal) -> str:
    return f"{abs(number.normalize()) if not number else number.normalize():f}"


def _plain_bin(number: Decimal, step: Decimal) -> str:
    edge = Fraction(step) * math.floor(Fraction(number) / Fraction(step))
    return f"{Decimal(edge.numerator) / edge.denominator:.{-int(step.as_tuple().exponent)}f}"


# Labels


@pytest.mark.parametrize(
    ("kind", "field", "part"),
    [
        ("text", b"M", "M"),
        ("text", b"", None),
        ("text", b" ", " "),
        ("text", "é".encode(), "é"),
        ("int", b"", None),
        ("int", b"7", "7"),
        ("int", b"07", "7"),
        ("int", b"+7", "7"),
        ("int", b" 7\t", "7"),
        ("int", b"-0", "0"),
        ("int", b"000", "0"),
        ("int", b"-007", "-7"),
        ("int", b"0" * 999 + b"1", "1"),
        ("int", b"9" * 1000, "9" * 1000),
        ("float", b"", None),
        ("float", b"0.455", "0.455"),
        ("float", b"0.4550", "0.455"),
        ("float", b"4.55e-1", "0.455"),
        ("float", b"+455.E-03", "0.455"),
        ("float", b" .455 ", "0.455"),
        ("float", b"-0.0e999999999", "0"),
        ("float", b"15", "15"),
        ("float", b"1500", "1500"),
        ("float", b"-1.5e3", "-1500"),
        ("float", b"1e20", "100000000000000000000"),
        ("float", b"1e21", "1e21"),
        ("float", b"1230e20", "1.23e23"),
        ("float", b"0.000001", "0.000001"),
        ("float", b"-0.00000012", "-1.2e-7"),
        ("float", b"1e100", "1e100"),
        ("float", b"1e-0000000100", "1e-100"),
        ("float", b"0." + b"0" * 99 + b"1e200", "1e100"),
        ("float/0.1", b"", None),
        ("float/0.1", b"0.455", "0.4"),
        ("float/0.1", b"0.3", "0.3"),
        ("float/0.1", b"-0.05", "-0.1"),
        ("float/0.1", b"-0.1", "-0.1"),
        ("float/0.1", b"-0.0", "0.0"),
        ("float/0.1", b"0.09999999999999999999999999999999999999999", "0.0"),
        ("float/0.10", b"0.455", "0.40"),
        ("float/5", b"17", "15"),
        ("float/5", b"-1e-100", "-5"),
        ("float/2.5", b"4.9e1", "47.5"),
        ("float/.3", b"1e100", "9" * 100 + ".9"),
        ("float/12", b"1e2", "96"),
    ],
)
def test_labels_a_field(kind: str, field: bytes, part: str | None) -> None:
    assert _part(kind, field) == part


@pytest.mark.parametrize(
    ("kind", "field", "reason"),
    [
        ("text", b"\xff", "x: not UTF-8: '\\xff'"),
        ("int", b"7.5", "x: not an int: '7.5'"),
        ("int", b" ", "x: not an int: ' '"),
        ("int", b"\xd9\xa1", "x: not an int: '\u0661'"),
        ("int", b"a\n\xff", "x: not an int: 'a\\n\\xff'"),
        ("int", b"x" * 100, "x: not an int: '" + "x" * 39 + "…'"),
        ("int", b"1" * 1001, "x: more than 1000 digits: '" + "1" * 39 + "…'"),
        ("float", b"nan", "x: not a float: 'nan'"),
        ("float", b"1e101", "x: beyond 1e±100: '1e101'"),
        ("float", b"0." + b"0" * 99 + b"9e-1", "x: beyond 1e±100: '0." + "0" * 37 + "…'"),
        ("float", b"1e" + b"9" * 50, "x: beyond 1e±100: '1e" + "9" * 37 + "…'"),
        ("float/0.1", b"1e-101", "x: beyond 1e±100: '1e-101'"),
        ("float", b"." + b"1" * 1001, "x: more than 1000 digits: '." + "1" * 38 + "…'"),
    ],
)
def test_says_why_a_field_has_no_label(kind: str, field: bytes, reason: str) -> None:
    assert _refused(kind, field) == reason


@pytest.mark.parametrize("field", [b"+", b"--1", b"1 2", b"0x1", b"1_0", b"1\n", b"\x0b1", b"+ 1", "−1".encode()])  # noqa: RUF001 - a minus sign is the point
def test_refuses_what_is_no_int(field: bytes) -> None:
    assert _refused("int", field).startswith("x: not an int: ")


@pytest.mark.parametrize(
    "field",
    [b".", b"e1", b".e1", b"1e", b"1e+", b"1.2.3", b"1_0.5", b"inf", b"-Infinity", b"sNaN", b"1,5", b"1 e1", b"0x1p3"],
)
@pytest.mark.parametrize("kind", ["float", "float/0.5"])
def test_refuses_what_is_no_float(kind: str, field: bytes) -> None:
    assert _refused(kind, field.replace(b",", b";")).startswith("x: not a float: ")


_digits = st.text("0123456789", max_size=25)
_numbers = st.builds(
    lambda sign, whole, dot, fraction, exponent: sign + (whole or "0") + (dot + fraction if dot else "") + exponent,
    st.sampled_from(["", "-", "+"]),
    _digits,
    st.sampled_from(["", "."]),
    _digits,
    st.just("") | st.integers(-70, 70).map("e{}".format),
)


@settings(max_examples=100)
@given(_numbers)
def test_a_float_label_is_the_number_and_the_only_one(text: str) -> None:
    label = _part("float", text.encode())
    assert label is not None
    assert Decimal(label) == Decimal(text)
    assert _part("float", label.encode()) == label
    again = f"{Decimal(text):E}"
    assert _part("float", again.encode()) == label


@settings(max_examples=100)
@given(_numbers, st.sampled_from(["0.1", "0.25", "3", "10", "7.000", "0.0000003"]))
def test_a_bin_holds_its_numbers(text: str, step: str) -> None:
    label = _part("float/" + step, text.encode())
    assert label is not None
    with localcontext(Context(prec=300)):
        edge, width, value = Decimal(label), Decimal(step), Decimal(text)
        assert edge <= value < edge + width
        assert edge % width == 0
        assert edge.as_tuple().exponent == width.as_tuple().exponent
        assert edge or not edge.is_signed()


# Routes


def test_an_identity_takes_all_rows_as_they_are() -> None:
    rows = [b"x", b"", b'"']
    route = _route(_split("*"), ABALONE)
    assert route(rows, MIXED) == Routed({(): rows}, [])
    assert route([], PLAIN) == Routed({}, [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Ringz", 'no column Ringz: did you mean "Rings", which is #9?'),
        ("#10", "no column #10: there are 9"),
        ('Sex+"R\nings"', "no column 'R\\nings': did you mean \"Rings\" with other blanks, which is #9?"),
    ],
)
def test_a_missing_column_rejects_every_row(text: str, reason: str) -> None:
    assert _route(_split(text), ABALONE)(ROWS[:2], PLAIN) == Routed({}, [(0, reason), (1, reason)])


def test_the_first_of_two_columns_of_one_name_counts() -> None:
    schema = Schema(b"a,b,a", ("a", "b", "a"))
    assert _route(_split("a"), schema)([b"1,2,3"], PLAIN).groups == {("1",): [b"1,2,3"]}
    assert _route(_split("#3"), schema)([b"1,2,3"], PLAIN).groups == {("3",): [b"1,2,3"]}


def test_a_file_without_a_header_is_split_by_position() -> None:
    schema = Schema(None, ("#1", "#2"))
    assert _route(_split("#2"), schema)([b"1,2"], PLAIN).groups == {("2",): [b"1,2"]}


def test_two_spellings_of_one_category_keep_their_order() -> None:
    rows = [b"7,a", b"8,b", b"07,c", b"+7,d", b"8,e", b"7,f"]
    route = _route(_split("x:int"), Schema(b"x,y", ("x", "y")))
    for plain in (PLAIN, MIXED):
        assert route(rows, plain) == Routed(
            {("7",): [rows[0], rows[2], rows[3], rows[5]], ("8",): [rows[1], rows[4]]}, []
        )


def test_rejects_have_their_index_and_the_rest_is_routed() -> None:
    rows = [b"1,a", b"x,b", b"2,c", b"x,d", b"1,e"]
    routed = _route(_split("x:int"), Schema(b"x,y", ("x", "y")))(rows, PLAIN)
    assert routed.groups == {("1",): [rows[0], rows[4]], ("2",): [rows[2]]}
    assert routed.rejects == [(1, "x: not an int: 'x'"), (3, "x: not an int: 'x'")]


def test_a_malformed_row_is_rejected_alone() -> None:
    rows = [b'"a",1', b'"a,1', b"a,1", b'"a"', b'"a",1,2', b"b,1"]
    schema = Schema(b"x,y", ("x", "y"))
    routed = _route(_split("x"), schema)(rows, MIXED)
    assert routed.groups == {("a",): [rows[0], rows[2]], ("b",): [rows[5]]}
    assert [index for index, _ in routed.rejects] == [1, 3, 4]
    assert routed.rejects[1:] == [(3, "1 field, the header has 2"), (4, "3 fields, the header has 2")]
    assert all(reason.isprintable() for _, reason in routed.rejects)


def test_a_short_row_is_rejected_not_raised() -> None:
    route = _route(_split("b"), Schema(b"a,b,c,d", ("a", "b", "c", "d")))
    rows = [b"1,2,3,4", b"1", b"1,2,3,4"]
    for plain in (PLAIN, MIXED):
        assert route(rows, plain) == Routed({("2",): [rows[0], rows[2]]}, [(1, "1 field, the header has 4")])


@pytest.mark.parametrize("plain", [PLAIN, MIXED])
def test_a_category_whose_key_does_not_fit_into_a_batch_is_rejected(plain: bool) -> None:  # noqa: FBT001 - by name
    schema = Schema(b"x,y", ("x", "y"))
    size = 65_536 - len(row_key("x", ("y",))) + 1
    rows = [b"a,1", b"b" * size + b",2", b"c" * (size + 1) + b",3", b"a,4", b"c" * (size + 1) + b",5"]
    reason = "a category of 65537 bytes, at most 65536"
    for _ in range(2):
        routed = _route(_split("x"), schema)(rows, plain)
        assert routed == Routed({("a",): [rows[0], rows[3]], ("b" * size,): [rows[1]]}, [(2, reason), (4, reason)])


def test_an_identity_whose_name_does_not_fit_into_a_batch_rejects_every_row() -> None:
    routed = _route(_split("x" * 65_537 + "=*"), ABALONE)(ROWS[:2], PLAIN)
    assert not routed.groups
    assert [index for index, _ in routed.rejects] == [0, 1]


def test_decisions_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_MAX_DECISIONS", 3)
    route = _route(_split("x:int"), Schema(b"x", ("x",)))
    rows = [str(number % 11).encode() for number in range(50)]
    for _ in range(3):
        assert route(rows, PLAIN).groups == {(str(n),): [b"%d" % n] * len(range(n, 50, 11)) for n in range(11)}


def _counting(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys whose partition was computed."""
    keys: list[bytes] = []

    def counted(key: bytes, partitions: int) -> int:
        keys.append(key)
        return partition_for(key, partitions)

    monkeypatch.setattr(decisions, "partition_for", counted)
    return keys


def test_many_spellings_of_one_category_compute_its_partition_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _counting(monkeypatch)
    route = _route(_split("x:float/10"), Schema(b"x", ("x",)))
    rows = [b"%d.%03d" % (number % 10, number) for number in range(1000)]
    for plain in (PLAIN, MIXED):
        assert route(rows, plain).groups == {("0",): rows}
    assert len(keys) == 1


@pytest.mark.parametrize("size", [256, 257, 2_000])
def test_long_fields_and_keys_are_routed_without_being_remembered(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    keys = _counting(monkeypatch)
    route = _route(_split("x"), Schema(b"x", ("x",)))
    rows = [b"a" * size, b"b" * size, b"a" * size]
    for _ in range(3):
        assert route(rows, PLAIN).groups == {("a" * size,): [rows[0], rows[2]], ("b" * size,): [rows[1]]}
    # Each batch is routed as a list and as spans.
    assert len(keys) == (2 if size < 1_000 else 2 * 6)


@pytest.mark.parametrize("text", ["Sex", "Rings:int", "Sex+Rings:int", "Length:float/0.1", "Sex+Height:float+#9"])
@pytest.mark.parametrize("plain", [PLAIN, MIXED])
def test_routes_abalone_as_the_plain_twin_does(text: str, plain: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    routed = _route(_split(text), ABALONE)(ROWS[:1000], plain)
    assert routed == route_plain(_split(text), ABALONE, ROWS[:1000])
    assert list(routed.groups) == list(route_plain(_split(text), ABALONE, ROWS[:1000]).groups)


_fields = st.sampled_from(
    ["", "a", "A", "é", "7", "07", "+7", " 7", "-0", "0", "7.0", "0.7e1", "x,y", 'q"q', "1_0", "nan", "\x0b1", "--1"]
)
_kinds: st.SearchStrategy[Kind] = st.sampled_from([Text(), Int(), Float(), Float(Decimal("0.1")), Float(Decimal(5))])


def _csv_row(fields: list[str], *, quote_all: bool) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL, lineterminator="").writerow(fields)
    return out.getvalue().encode()


@settings(max_examples=150)
@given(st.data())
def test_routes_as_the_plain_twin_does(data: st.DataObject) -> None:
    width = data.draw(st.integers(2, 5))
    schema = Schema(None, tuple(f"c{n}" for n in range(width)), row_format=data.draw(st.sampled_from(["csv", "json"])))
    columns = data.draw(st.lists(st.builds(Column, st.integers(1, width), _kinds), min_size=1, max_size=3))
    table = data.draw(st.lists(st.lists(_fields, min_size=width, max_size=width), max_size=12))
    if schema.row_format == "json":
        rows = [orjson.dumps(dict(zip(schema.keys, fields, strict=True))) for fields in table]
    else:
        rows = [_csv_row(fields, quote_all=data.draw(st.booleans())) for fields in table]
    split = Split("s", tuple(columns))
    plain = not any(b'"' in row for row in rows)
    twin = route_plain(split, schema, rows)
    route = _route(split, schema)
    assert route(rows, plain) == twin
    assert route(rows, MIXED) == twin
    assert sum(map(len, twin.groups.values())) + len(twin.rejects) == len(rows)


def test_another_dialect() -> None:
    schema = Schema(b"a;b", ("a", "b"), Dialect(delimiter=b";", quote=b"'"))
    rows = [b"1;2", b"'1;';2", b'"1;2']
    routed = _route(_split("a"), schema)(rows, MIXED)
    assert routed == Routed({("1",): [rows[0]], ("1;",): [rows[1]], ('"1',): [rows[2]]}, [])
