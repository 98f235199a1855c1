"""The compiled loops over rows, compared with their plain twins and with the slow paths that they replace."""

from array import array
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows import plain
from common.rows.codec import JsonCodec, join_fields
from common.rows.schema import Dialect, Schema
from tests.harness.row_spans import spans_of

compiled = pytest.importorskip("common.rows.compiled", reason="no compiler")


@given(st.lists(st.binary(max_size=100)))
def test_sums_are_alike(rows: list[bytes]) -> None:
    assert compiled.sums(rows) == compiled.sums(rows, by_tables=True) == plain.sums(rows)
    assert compiled.size_of(rows) == plain.size_of(rows)


PIECES = st.sampled_from([b"a", b",", b"\n", b"\r", b"\r\n", b'"', b"bc", b"", b";"])


@given(
    st.lists(st.sampled_from([b"a,b", b"a;b", b"", b",", b"a", b"a,b,c", b'"a",b', b"a\r,b"]), max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([b",", b";"]),
    st.sampled_from([b'"', b"'", b""]),
    st.integers(1, 3),
    st.integers(0, 6),
    PIECES,
)
def test_uniform_lines_are_split_alike(
    rows: list[bytes],
    eol: bytes,
    usual_eol: bytes,
    delimiter: bytes,
    quote: bytes,
    columns: int,
    limit: int,
    tail: bytes,
) -> None:
    for data in (b"".join(row + eol for row in rows), b"".join(row + eol for row in rows) + tail):
        arguments = (data, delimiter, quote, usual_eol, columns, limit)
        assert compiled.split_uniform_lines(*arguments) == plain.split_uniform_lines(*arguments)


@given(st.lists(st.lists(st.binary(max_size=4).map(lambda field: field.replace(b",", b"")), min_size=3, max_size=3)))
def test_fields_are_taken_alike(rows: list[list[bytes]]) -> None:
    joined = [b",".join(row) for row in rows]
    for column in range(3):
        fields = [row[column] for row in rows]
        assert compiled.take_fields(joined, b",", column) == plain.take_fields(joined, b",", column) == fields


def test_a_field_that_is_missing_is_an_index_error() -> None:
    for loops in (compiled, plain):
        with pytest.raises(IndexError):
            loops.take_fields([b"a,b", b"a"], b",", 1)


def test_a_column_that_is_not_there_is_an_index_error() -> None:
    for loops in (compiled, plain):
        with pytest.raises(IndexError):
            loops.take_fields([b"a,b"], b",", -1)
        for column in (-1, 1):
            with pytest.raises(IndexError):
                loops.take_json_fields([b'{"a":1}'], [b'{"a":'], column)


def assert_each_raises(error: type[Exception], *calls: Callable[[], object]) -> None:
    for call in calls:
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("wrong", [None, "text", bytearray(b"row"), 1])
def test_what_is_not_bytes_is_a_type_error(wrong: object) -> None:
    names, rows = [b'{"a":'], [b'{"a":1}', wrong]
    assert_each_raises(
        TypeError,
        lambda: compiled.size_of(rows),
        lambda: compiled.sums(rows),
        lambda: compiled.take_fields(rows, b",", 0),
        lambda: compiled.json_rows(rows, names, b",", b'"'),
        lambda: compiled.csv_rows(rows, names, b",", b'"'),
        lambda: compiled.take_json_fields(rows, names, 0),
        # Also for a name that no row needs.
        lambda: compiled.json_rows([], [*names, wrong], b",", b'"'),
        lambda: compiled.csv_rows([], [*names, wrong], b",", b'"'),
        lambda: compiled.take_json_fields([], [*names, wrong], 0),
    )


@pytest.mark.parametrize("mark", [b"", b",,"])
def test_a_delimiter_of_other_than_one_byte_is_a_value_error(mark: bytes) -> None:
    assert_each_raises(
        ValueError,
        lambda: compiled.split_uniform_lines(b"a,b\n", mark, b"", b"\n", 2, 9),
        lambda: compiled.take_fields([b"a,b"], mark, 0),
        lambda: compiled.json_rows([b"a"], [b'{"a":'], mark, b""),
        lambda: compiled.csv_rows([b"{}"], [b'{"a":'], mark, b""),
    )


@pytest.mark.parametrize("eol", [b"", b"\r", b"\n\r\n"])
def test_lines_that_end_neither_with_lf_nor_with_crlf_are_a_value_error(eol: bytes) -> None:
    for loops in (compiled, plain):
        with pytest.raises(ValueError, match="LF"):
            loops.split_uniform_lines(b"a\n", b",", b"", eol, 1, 9)


ROWS = st.lists(
    st.sampled_from([b"M,1", b"F,22", b"I,333", b"M,4", b",", b"5", b"M,,", *(b"%d,x" % n for n in range(20))])
)


@given(ROWS, st.integers(0, 1), st.data())
def test_rows_are_grouped_by_their_fields_alike(rows: list[bytes], column: int, data: st.DataObject) -> None:
    try:
        expected = [row.split(b",")[column] for row in rows]
    except IndexError:
        for loops, given_rows in ((compiled, rows), (compiled, spans_of(rows)), (plain, rows)):
            with pytest.raises(IndexError):
                loops.number_fields(given_rows, b",", column)
        return
    fields, numbers = plain.number_fields(rows, b",", column)
    assert [fields[number] for number in array("I", numbers)] == expected
    assert compiled.number_fields(rows, b",", column) == (fields, numbers)
    assert compiled.number_fields(spans_of(rows), b",", column) == (fields, numbers)
    assert compiled.number_items(expected) == plain.number_items(expected) == (fields, numbers)
    targets = [data.draw(st.integers(-1, 2)) for _ in fields]
    groups = plain.group_rows(rows, numbers, targets, 3)
    assert [row for group in groups for row in group] == [
        row
        for target in range(3)
        for row, number in zip(rows, array("I", numbers), strict=True)
        if targets[number] == target
    ]
    assert compiled.group_rows(rows, numbers, targets, 3) == groups
    assert compiled.group_rows(spans_of(rows), numbers, targets, 3) == groups


def test_numbers_and_targets_that_there_are_not_are_a_value_error() -> None:
    one = array("I", [0]).tobytes()
    for loops in (compiled, plain):
        for given_rows in ([b"a"], spans_of([b"a"])):
            for numbers, targets, count in (
                (one * 2, [0], 1),
                (one, [1], 1),
                (one, [-2], 1),
                (one, [], 1),
                (b"", [0], 1),
            ):
                with pytest.raises(ValueError, match=r"number|group|zip"):
                    loops.group_rows(given_rows, numbers, targets, count)


def test_items_that_change_their_list_are_a_value_error() -> None:
    items: list[object] = []

    class Growing:
        def __hash__(self) -> int:
            items.append(1)
            return 1

    items += [1, Growing(), 2]
    with pytest.raises(ValueError, match="changed"):
        compiled.number_items(items)


# JSON: what the compiled loop returns, if not None, is what the codec returns.

FIELDS = st.one_of(
    st.sampled_from([b"", b"0", b"-0", b"07", b"1.50", b"-1e9", b"1E+05", b"1.", b".5", b"-", b"1e", b"+1", b"\xff"]),
    st.text(alphabet='aé\u2028"\\,;\t1.-', max_size=5).map(str.encode),
)
DIALECTS = st.sampled_from([Dialect(), Dialect(delimiter=b";", quote=b"'"), Dialect(quote=b""), Dialect(b".", b"1")])
COLUMNS = ("a", 'é"', "c%")


@given(st.lists(st.lists(FIELDS, min_size=1, max_size=4)), DIALECTS)
def test_json_is_written_as_the_codec_writes_it(rows: list[list[bytes]], dialect: Dialect) -> None:
    codec = JsonCodec(Schema(None, COLUMNS, dialect, "json"))
    joined = [dialect.delimiter.join(row) for row in rows]
    for row, value in zip(
        joined, compiled.json_rows(joined, codec.names, dialect.delimiter, dialect.quote), strict=True
    ):
        assert value is None or value == codec.encode(row)


def test_usual_json_is_not_left_to_the_codec() -> None:
    schema = Schema(None, COLUMNS, Dialect(), "json")
    codec = JsonCodec(schema)
    rows = ["M,0.455,é".encode(), b",-1e5,x y", b"1,2,3"]
    values = compiled.json_rows(rows, codec.names, b",", b'"')
    assert values == [codec.encode(row) for row in rows]
    assert compiled.csv_rows(values, codec.names, b",", b'"') == rows
    for column in range(3):
        fields = [row.split(b",")[column] for row in rows]
        assert compiled.take_json_fields(values, codec.names, column) == fields


@given(st.lists(FIELDS, min_size=3, max_size=3), DIALECTS, st.data())
def test_json_is_read_as_the_codec_reads_it(fields: list[bytes], dialect: Dialect, data: st.DataObject) -> None:
    schema = Schema(None, COLUMNS, dialect, "json")
    codec = JsonCodec(schema)
    try:
        value = bytearray(codec.encode(join_fields(fields, dialect)))
    except ValueError:
        return
    # As written, or with one byte that may be wrong.
    if data.draw(st.booleans()):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.sampled_from(b'a0,;".:{}\\- \x00\xc3'))
    [row] = compiled.csv_rows([bytes(value)], codec.names, dialect.delimiter, dialect.quote)
    assert row is None or row == codec.decode(bytes(value))
    for column in range(3):
        [field] = compiled.take_json_fields([bytes(value)], codec.names, column)
        if row is not None:
            assert field == codec.fields(bytes(value))[column]
