import csv
import io
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.rows.codec import parse_fields
from common.rows.loops import split_uniform_lines
from common.rows.reasons import Code, Reason
from common.rows.schema import BOM, Dialect
from services.ingest.parsing import framing
from services.ingest.parsing.framing import Framed, Reject, RowBlock, frame
from services.ingest.parsing.header import LONGEST_BROKEN_BYTES, Header, frame_header, header_columns
from tests.harness.csv_pieces import PIECES

LF, CRLF = Dialect(), Dialect(eol=b"\r\n")
SOUP = st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join)
LIMITS = st.sampled_from([0, 3, 7, 12, 1000])

Item = tuple[int, int, bytes, bytes | None, str]
"""Offset, line, bytes, the line ending or None for a reject, the first words of the reason."""

REASONS = (
    "blank line",
    "a row of",
    "a quote is opened and not closed within",
    "a quote is opened and not closed",
    "text follows a closing quote",
)


def whole(data: bytes, columns: int, limit: int = 1000, dialect: Dialect = LF, *, at_end: bool = True) -> Framed:
    return frame(data, dialect=dialect, columns=columns, line=1, offset=0, at_end=at_end, max_row_bytes=limit)


def one_by_one(data: bytes, columns: int, dialect: Dialect = LF, limit: int = 1000, *, at_end: bool = True) -> Framed:
    return framing._frame_any(data, 1, 0, framing._Rules(dialect, columns, limit, at_end))  # noqa: SLF001 - the twin


def rows_of(framed: Framed) -> list[bytes]:
    return [row for part in framed.frames if isinstance(part, RowBlock) for row in part.rows]


def rejects_of(framed: Framed) -> list[tuple[bytes, str]]:
    return [(part.raw, part.reason.text) for part in framed.frames if isinstance(part, Reject)]


def kind(reason: str) -> str:
    return next((known for known in REASONS if reason.startswith(known)), reason)


def breaks(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def items(parts: list[RowBlock | Reject], quote: bytes = b'"') -> list[Item]:
    found: list[Item] = []
    for part in parts:
        if isinstance(part, Reject):
            found.append((part.offset, part.line, part.raw, None, kind(part.reason.text)))
            continue
        offset, line = part.offset, part.line
        assert part.plain == all(not quote or quote not in row for row in part.rows)
        for row in part.rows:
            found.append((offset, line, row, part.eol, ""))
            offset += len(row) + len(part.eol)
            line += breaks(row) + 1
    return found


def fed(data: bytes, edges: list[int], columns: int, limit: int) -> list[Item]:
    """Frame data that comes in pieces, as a service reads it."""
    parts: list[RowBlock | Reject] = []
    rest, line, offset = b"", 1, 0
    for number, (start, end) in enumerate(pairwise([0, *edges, len(data)])):
        given_data = rest + data[start:end]
        framed = frame(
            given_data,
            dialect=LF,
            columns=columns,
            line=line,
            offset=offset,
            at_end=number == len(edges),
            max_row_bytes=limit,
        )
        parts += framed.frames
        rest = given_data[framed.consumed :]
        line, offset = line + framed.lines, offset + framed.consumed
        assert len(rest) <= limit + 1 or breaks(rest.removesuffix(b"\r")) == 0
    assert rest == b""
    return items(parts)


def spelled_out(data: bytes, columns: int, limit: int) -> list[Item]:
    """Frame byte by byte, following the rules as they are written, without regard to speed."""
    found: list[Item] = []
    start, line = 0, 1
    while start < len(data):
        first = next((at for at in range(start, len(data)) if data[at] in b"\r\n"), len(data))
        end, reason = first, kind_of_line(data, start, first, columns, limit)
        if reason.startswith("ends "):
            _, at, fields = reason.split()
            end = int(at)
            reason = (
                "" if int(fields) == columns else f"{fields} field{'s' * (fields != '1')}, the header has {columns}"
            )
        eol = b"\r\n" if data[end : end + 2] == b"\r\n" else data[end : end + 1]
        found.append((start, line, data[start:end], None if reason else eol, reason))
        line += breaks(data[start:end]) + 1
        start = end + len(eol)
    return found


def kind_of_line(data: bytes, start: int, first: int, columns: int, limit: int) -> str:
    if first - start > limit:
        return "a row of"
    if first == start and columns > 1:
        return "blank line"
    state, fields = "field starts", 1
    for at in range(start, start + limit + 1):
        byte = data[at : at + 1]
        if state == "quoted":
            if not byte:
                return "a quote is opened and not closed"
            state = "quote seen" if byte == b'"' else state
        elif byte in (b"", b"\r", b"\n"):
            return f"ends {at} {fields}"
        elif byte == b",":
            state, fields = "field starts", fields + 1
        elif byte == b'"' and state in ("field starts", "quote seen"):
            state = "quoted"
        elif state == "quote seen":
            return "text follows a closing quote"
        else:
            state = "unquoted"
    return "a quote is opened and not closed within"


@given(SOUP, st.integers(1, 3), LIMITS)
@example(b'"\n",b\n', 2, 3)
@example(b'x",y,"z\n' * 4 + b'"', 3, 12)
@example(b'"a\r\n"\r\r\n', 1, 1000)
@example(b'"""a""\n",', 1, 7)
@example(b'"a\n\n"b', 1, 1000)
def test_any_bytes_are_framed_as_the_rules_spell_out(data: bytes, columns: int, limit: int) -> None:
    assert items(whole(data, columns, limit).frames) == spelled_out(data, columns, limit)


@given(SOUP, st.integers(1, 3), LIMITS)
@example(b'a,b\r\n"x\r\ny",c\r\n', 2, 1000)
@example(b'"a""b",c\n', 2, 1000)
def test_no_cut_of_the_data_makes_a_difference(data: bytes, columns: int, limit: int) -> None:
    expected = items(whole(data, columns, limit).frames)
    for edge in range(len(data) + 1):
        assert fed(data, [edge], columns, limit) == expected
    assert fed(data, list(range(1, len(data) + 1)), columns, limit) == expected


@given(data=SOUP, columns=st.integers(1, 3), limit=LIMITS, at_end=st.booleans())
def test_rows_rejects_and_line_endings_put_together_are_the_input(
    *, data: bytes, columns: int, limit: int, at_end: bool
) -> None:
    framed = whole(data, columns, limit, at_end=at_end)
    assert framed.consumed == len(data) or not at_end
    assert framed.lines == breaks(data[: framed.consumed]) + (at_end and data[-1:] not in (b"\r", b"\n", b""))
    found = items(framed.frames)
    offsets = [*(item[0] for item in found), framed.consumed]
    for (offset, line, raw, eol, _), behind in zip(found, offsets[1:], strict=True):
        assert line == 1 + breaks(data[:offset])
        assert data[offset:behind].startswith(raw)
        ending = data[offset + len(raw) : behind]
        assert ending in (b"\n", b"\r\n", b"\r") or (ending == b"" and at_end and behind == len(data))
        assert eol in (None, ending)
    if at_end:
        assert offsets[0] == 0


@given(SOUP)
def test_files_that_csv_accepts_have_the_rows_csv_reads(data: bytes) -> None:
    try:
        expected = list(csv.reader(io.StringIO(data.decode("latin-1"), newline=""), strict=True))
    except csv.Error:
        return
    found = [item[2] for item in items(whole(data, 2).frames)]
    assert [parse_fields(raw, LF) if raw else [] for raw in found] == [
        [field.encode("latin-1") for field in row] for row in expected
    ]


FIELDS = st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"\0", b"", b"x", b"\xc3\xa4"]), max_size=4)


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(FIELDS.map(b"".join), st.booleans()), min_size=3, max_size=3),
            st.sampled_from([b"\n", b"\r\n", b"\r"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_well_formed_row_comes_back_with_its_fields_and_its_own_line_ending(
    table: list[tuple[list[tuple[bytes, bool]], bytes]],
) -> None:
    rows = [
        b",".join(
            b'"%b"' % field.replace(b'"', b'""') if quoted or set(field) & set(b'",\r\n') else field
            for field, quoted in fields
        )
        for fields, _ in table
    ]
    data = b"".join(row + eol for row, (_, eol) in zip(rows, table, strict=True))
    found = items(whole(data, 3).frames)
    assert [(raw, eol) for _, _, raw, eol, _ in found] == [
        (row, eol) for row, (_, eol) in zip(rows, table, strict=True)
    ]
    assert [parse_fields(raw, LF) for _, _, raw, _, _ in found] == [
        [field for field, _ in fields] for fields, _ in table
    ]


@given(
    rows=st.lists(
        st.sampled_from([b"a,b", b",", b"long,row", b"ab", b"a,b,c", b"", b'"a",b', b"a\r,b"]) | st.just(b"1,2")
    ),
    tail=st.sampled_from([b"", b"a", b"a,b", b"a\r", b"a,b\r", b"a,b\rc", b'"', b"\r\r"]),
    dialect=st.sampled_from([LF, CRLF]),
    eol=st.sampled_from([b"\n", b"\r\n"]),
    at_end=st.booleans(),
    limit=st.sampled_from([3, 1000]),
)
def test_the_fast_path_and_the_slow_path_are_twins(
    *, rows: list[bytes], tail: bytes, dialect: Dialect, eol: bytes, at_end: bool, limit: int
) -> None:
    data = b"".join(row + eol for row in rows) + tail
    assert whole(data, 2, limit, dialect, at_end=at_end) == one_by_one(data, 2, dialect, limit, at_end=at_end)


@pytest.mark.parametrize("dialect", [LF, CRLF], ids=["LF", "CRLF"])
def test_uniform_rows_do_not_take_the_slow_path(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(framing, "_frame_any")
    data = b"".join(row + dialect.eol for row in (b"M,1", b"F,2"))
    framed = whole(data + b"I", 2, dialect=dialect, at_end=False)
    assert framed == Framed([RowBlock([b"M,1", b"F,2"], dialect.eol, 1, 0, plain=True)], len(data), 2)


@pytest.mark.parametrize("bad", [b"1,2,3,4", b"1,2", b"", b"1,2\r,3", b"1,2,3\r4,5,6", b"1,2,3456", b'1,"2,3"'])
def test_an_odd_row_among_uniform_ones_is_noticed(bad: bytes) -> None:
    data = b"1,2,3\n" * 3 + bad + b"\n" + b"1,2,3\n" * 3
    assert split_uniform_lines(data, LF.delimiter, LF.quote, LF.eol, 3, 7) is None


def test_rows_as_long_as_allowed_pass_and_one_byte_more_does_not() -> None:
    for length in range(1, 9):
        data = b"1,2\n" + b"x" * (length - 1) + b",\n" + b"3,4\n"
        framed = whole(data, 2, 5)
        assert rejects_of(framed) == (
            [] if length <= 5 else [(data[4:-5], f"a row of {length} bytes, at most 5 are allowed")]
        )
        assert framed == one_by_one(data, 2, LF, 5)


def test_another_line_ending_begins_a_new_block() -> None:
    framed = whole(b"a,b\nc,d\r\ne,f\rg,h", 2)
    assert framed.frames == [
        RowBlock([b"a,b"], b"\n", 1, 0, plain=True),
        RowBlock([b"c,d"], b"\r\n", 2, 4, plain=True),
        RowBlock([b"e,f"], b"\r", 3, 9, plain=True),
        RowBlock([b"g,h"], b"", 4, 13, plain=True),
    ]
    assert (framed.consumed, framed.lines) == (16, 4)


def test_lines_and_offsets_count_from_where_the_data_begins() -> None:
    framed = frame(b'"a\nb",c\nd\n', dialect=LF, columns=2, line=7, offset=100, at_end=False, max_row_bytes=99)
    assert framed.frames == [
        RowBlock([b'"a\nb",c'], b"\n", 7, 100, plain=False),
        Reject(b"d", 9, 108, Reason(Code.FIELDS, "1 field, the header has 2")),
    ]
    assert (framed.consumed, framed.lines) == (10, 3)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2,3,4,5,6,7,8", "8 fields, the header has 9"),
        (b"", "blank line"),
        (b'"1"x,2,3,4,5,6,7,8,9', "text follows a closing quote"),
        (b'1,2,3,4,5,6,7,8,"9', "a quote is opened and not closed"),
        (b'"', "a quote is opened and not closed"),
    ],
)
def test_a_line_that_is_no_row_is_rejected_and_the_lines_around_it_are_rows(line: bytes, reason: str) -> None:
    row = b"M,1,2,3,4,5,6,7,8"
    framed = whole(b"\n".join([row, line, row, row]), 9)
    assert rejects_of(framed) == [(line, reason)]
    assert rows_of(framed) == [row] * 3


def test_a_blank_line_is_an_empty_field_where_there_is_one_column() -> None:
    assert rows_of(whole(b"a\n\nb\n\n", 1)) == [b"a", b"", b"b", b""]
    assert rows_of(one_by_one(b"a\n\nb\n\n", 1)) == [b"a", b"", b"b", b""]


def test_a_quote_inside_an_unquoted_field_is_an_ordinary_byte() -> None:
    assert rows_of(whole(b'5" pipe,a"b"\n', 2)) == [b'5" pipe,a"b"']


def test_an_open_quote_waits_for_its_end_as_long_as_a_row_may_be() -> None:
    for length in range(2, 12):
        data = b'"' + b"a,b\n" * length
        framed = whole(data, 2, 20, at_end=False)
        if len(data) <= 20:
            assert framed == Framed([], 0, 0)
        else:
            assert rejects_of(framed)[0] == (b'"a,b', "a quote is opened and not closed within 20 bytes")
            assert rows_of(framed) == [b"a,b"] * (length - 1)


def test_a_stray_quote_costs_one_line_not_all_up_to_the_next_quote() -> None:
    framed = whole(b'"a,b\n' + b"c,d\n" * 50 + b'e,"f"\n', 2)
    assert rejects_of(framed) == [(b'"a,b', "text follows a closing quote further down")]
    assert rows_of(framed) == [b"c,d"] * 50 + [b'e,"f"']


def test_delimiters_and_quotes_that_are_special_in_a_pattern() -> None:
    for delimiter, quote in [(b"|", b"'"), (b"^", b"$"), (b"\t", b"."), (b"-", b"]"), (b"]", b"^"), (b"\\", b"*")]:
        dialect = Dialect(delimiter, quote)
        row = quote + b"a\n" + quote * 2 + delimiter + quote + delimiter + b"b"
        assert rows_of(whole(row + b"\n", 2, dialect=dialect)) == [row]
        assert parse_fields(row, dialect) == [b"a\n" + quote + delimiter, b"b"]


def test_a_quoted_field_of_ten_megabytes_passes() -> None:
    row = b'"' + b'x\n""' * 2_500_000 + b'",b'
    assert rows_of(whole(row + b"\n", 2, 11_000_000)) == [row]


@pytest.mark.parametrize("limit", [1000, 1 << 30])
@pytest.mark.parametrize("columns", [3, 50_000])
@pytest.mark.parametrize(
    ("nasty", "size"),
    [
        pytest.param(b'"', 5_000_000, id="only quotes"),
        pytest.param(b'",', 5_000_000, id="alternating"),
        pytest.param(b'"\n', 100_000, id="a quote a line"),
        pytest.param(b'"abc,d,e\n', 200_000, id="every line opens"),
        pytest.param(b'"a""b\n', 200_000, id="doubled"),
        pytest.param(b'x",y,"z\n', 300_000, id="every line open at its end whatever the one before"),
        pytest.param(b"x" * 1000 + b'",y,"z\n', 5_000_000, id="long lines open at their end"),
    ],
)
def test_no_quotes_make_framing_quadratic(nasty: bytes, size: int, columns: int, limit: int) -> None:
    data = nasty * (size // len(nasty))
    # Processor time, which other processes do not lengthen.
    started = time.process_time()
    framed = whole(data, columns, limit)
    assert time.process_time() - started < 4
    assert framed.consumed == len(data)


@given(SOUP, st.integers(1, 3))
@example(b'"a,b\r\n",c\n', 2)
def test_without_a_quote_setting_a_quote_is_a_byte_like_any_other(data: bytes, columns: int) -> None:
    bare = Dialect(quote=b"")
    assert items(whole(data, columns, dialect=bare).frames, b"") == [
        (offset, line, raw.replace(b"x", b'"'), eol, reason)
        for offset, line, raw, eol, reason in items(whole(data.replace(b'"', b"x"), columns).frames)
    ]


@given(data=SOUP, with_bom=st.booleans())
@example(data=b'"a\r\n""b",c\r\nd', with_bom=True)
@example(data=b"", with_bom=False)
def test_a_header_is_found_once_it_is_complete_and_is_the_first_record(*, data: bytes, with_bom: bool) -> None:
    source = BOM + data if with_bom else data
    first = spelled_out(data, 1, 10_000)[:1]
    if not source:
        assert frame_header(source, LF, at_end=True) is None
        return
    header = frame_header(source, LF, at_end=True)
    assert header is not None
    # Where quotes are wrong, the first line is what is rejected of a row, and what is taken as a header.
    assert bool(header.trouble) == bool(first and first[0][4].startswith(REASONS))
    raw = first[0][2] if first else b""
    assert header.record == source[: len(source) - len(data)] + raw
    assert source[: header.consumed] in (header.record + header.eol, header.record)
    assert header.lines == breaks(raw) + 1
    for end in range(len(source)):
        early = frame_header(source[:end], LF, at_end=False)
        assert early in (None, header)
        if not header.trouble:
            assert (early is not None) == (end > header.consumed or (end == header.consumed and header.eol != b"\r"))


def test_a_header_without_line_ending_is_complete_only_at_the_end() -> None:
    assert frame_header(b"a,b", LF, at_end=False) is None
    assert frame_header(b"a,b\r", LF, at_end=False) is None
    assert frame_header(b"a,b", LF, at_end=True) == Header(b"a,b", (b"a", b"b"), b"\n", 3, 1)
    assert frame_header(b"a,b\r", LF, at_end=True) == Header(b"a,b", (b"a", b"b"), b"\r", 4, 1)
    assert frame_header(b"a,b\rc", LF, at_end=False) == Header(b"a,b", (b"a", b"b"), b"\r", 4, 1)


def test_a_header_may_have_its_own_delimiter_and_quote() -> None:
    header = frame_header(BOM + b"'a\n;';b\r\n1;2\r\n", Dialect(b";", b"'"), at_end=False)
    assert header == Header(BOM + b"'a\n;';b", (b"a\n;", b"b"), b"\r\n", 12, 2)
    assert header_columns(header.fields, "utf-8") == ("a\n;", "b")


def columns_of(record: bytes) -> tuple[str, ...]:
    header = frame_header(record, LF, at_end=True)
    assert header is not None
    return header_columns(header.fields, LF.encoding)


def test_column_names_are_utf8_or_else_latin1_without_a_byte_order_mark() -> None:
    assert columns_of(BOM + "\u00e4,\u20ac".encode()) == ("\u00e4", "\u20ac")
    assert columns_of(b"\xe4,b") == ("\u00e4", "b")
    assert columns_of(BOM + b'"a,""b",c') == ('a,"b', "c")


@pytest.mark.parametrize(
    ("line", "names", "trouble"),
    [
        (b'"id" ,"name, all",v', ('"id" ', "name, all", "v"), "text follows a closing quote (a blank after it?)"),
        (b'id,"5\\" pipe",v', ("id", '"5\\" pipe"', "v"), "text follows a closing quote (a backslash escape?)"),
        (b'"a"b,c', ('"a"b', "c"), "text follows a closing quote"),
        (b'id,"name,v', ("id", '"name', "v"), "a quote is opened and not closed in its line"),
        (b'"', ('"',), "a quote is opened and not closed in its line"),
        (b'"a","b,"c",d', ("a", '"b', "c", "d"), "text follows a closing quote"),
    ],
)
@pytest.mark.parametrize("bom", [b"", BOM])
def test_a_header_with_wrong_quotes_is_its_first_line(
    line: bytes, names: tuple[str, ...], trouble: str, bom: bytes
) -> None:
    header = frame_header(bom + line + b"\r\n1,2\r\n", LF, at_end=True)
    assert header is not None
    assert header_columns(header.fields, "utf-8") == names
    assert (header.record, header.eol, header.lines, header.trouble) == (bom + line, b"\r\n", 1, trouble)
    assert header.consumed == len(bom + line) + 2


def test_a_stray_quote_does_not_make_a_file_its_header() -> None:
    rows = b"".join(b"%d,x\n" % number for number in range(LONGEST_BROKEN_BYTES // 4))
    source = b'id,"name\n' + rows + b'7,5"\n' + rows
    header = frame_header(source, LF, at_end=True)
    assert header is not None
    assert (header.record, header.fields) == (b'id,"name', (b"id", b'"name'))
    for end in (9, 1000, LONGEST_BROKEN_BYTES, LONGEST_BROKEN_BYTES + 1, len(source) - 10, len(source)):
        assert frame_header(source[:end], LF, at_end=False) == (header if end > LONGEST_BROKEN_BYTES else None)


@pytest.mark.parametrize("names", [2_000, 20_000])
def test_a_long_header_in_one_line_is_whole(names: int) -> None:
    header = frame_header(b",".join([b'"name, %d"' % number for number in range(names)]) + b"\n", LF, at_end=False)
    assert header is not None
    assert (len(header.fields), header.trouble) == (names, "")


def test_a_header_of_many_lines_is_whole() -> None:
    header = frame_header(b'"a\n' + b"b\n" * 20_000 + b'",c\n', LF, at_end=False)
    assert header is not None
    assert (len(header.fields), header.trouble) == (2, "")


def test_wrong_quotes_cost_time_linear_in_the_header() -> None:
    for line in (b'"x,""y' * 200_000, b'"""y,' * 200_000, b'"y,' * 200_001, b'""y,' * 200_000):
        header = frame_header(line + b"\n", LF, at_end=False)
        assert header is not None
        assert header.trouble


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'"a\\"b",1', "text follows a closing quote (a backslash escape?)"),
        (b'"a" ,1', "text follows a closing quote (a blank after it?)"),
        (b'x, "a,b"', "3 fields, the header has 2 (a blank before a quote?)"),
    ],
)
def test_the_reason_names_a_dialect_that_is_not_read(row: bytes, reason: str) -> None:
    framed = frame(row + b"\n", dialect=LF, columns=2, line=2, offset=4, at_end=False, max_row_bytes=100)
    [reject] = framed.frames
    assert isinstance(reject, Reject)
    assert (reject.raw, reject.line, reject.offset, reject.reason.text) == (row, 2, 4, reason)


def test_the_reason_names_lines_that_end_with_two_returns() -> None:
    dialect = Dialect(eol=b"\r")
    framed = frame(b"\r\n1,2\r\r\n", dialect=dialect, columns=2, line=2, offset=4, at_end=False, max_row_bytes=100)
    blank = r"blank line (do lines end with \r\r\n?)"
    assert [part.reason for part in framed.frames if isinstance(part, Reject)] == [Reason(Code.BLANK_LINE, blank)] * 2
