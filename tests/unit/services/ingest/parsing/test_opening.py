import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.rows.schema import BOM, Dialect, Schema
from services.ingest.parsing.encodings import find_encoding
from services.ingest.parsing.framing import Reject
from services.ingest.parsing.opening import Opening, find_opening
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.patterns import BLANK_LINE

PIECES = [b"sep=;\n", b"\n", b"\n", b"\r\n", b"\r", b"a", b",", b'"', BOM, b"# note\n", b"a,b\n", b"1,2\n", b"\xff"]
SOUP = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
WANTED = st.builds(ReadOptions, header=st.sampled_from(["first", "none"]), skip_lines=st.integers(0, 3))
AUTO = ReadOptions(delimiter=None)


def opened(
    data: bytes, options: ReadOptions | None = None, *, at_end: bool = True, hurry: bool = False
) -> Opening | None:
    return find_opening(data, options or ReadOptions(), at_end=at_end, hurry=hurry)


def schema_of(data: bytes, options: ReadOptions | None = None) -> Schema:
    opening = opened(data, options)
    assert opening is not None
    assert opening.schema is not None
    return opening.schema


def test_the_first_record_is_the_header() -> None:
    schema = Schema(b'a,"b\nc"', ("a", "b\nc"), Dialect(eol=b"\r\n"))
    assert opened(b'a,"b\nc"\r\n1,2\r\n') == Opening(schema, 9, 2)
    assert opened(b"a,b") == Opening(Schema(b"a,b", ("a", "b")), 3, 1, unterminated=True)


def test_without_a_header_columns_are_numbered_and_no_row_is_taken() -> None:
    schema = Schema(None, ("#1", "#2"))
    assert opened(b"1,2\n", ReadOptions(header="none")) == Opening(schema, 0, 0)
    assert opened(b"\n1,2\n", ReadOptions(header="none")) == Opening(schema, 0, 0)
    assert opened(BOM + b"1,2\n", ReadOptions(header="none")) == Opening(schema, 3, 0)


def test_lines_are_skipped_before_the_header_whatever_quotes_they_hold() -> None:
    data = b'made by "someone\r\n\r\na,b\r\n1,2\r\n'
    assert opened(data, ReadOptions(skip_lines=2)) == Opening(Schema(b"a,b", ("a", "b"), Dialect(eol=b"\r\n")), 25, 3)
    assert opened(data, ReadOptions(header="none", skip_lines=2)) == Opening(
        Schema(None, ("#1", "#2"), Dialect(eol=b"\r\n")), 20, 2
    )


def test_blank_lines_before_the_header_are_rejected_each_at_its_line_and_offset() -> None:
    opening = opened(BOM + b"\n\r\na,b\n")
    blanks = (Reject(BOM, 1, 0, BLANK_LINE), Reject(b"", 2, 4, BLANK_LINE))
    assert opening == Opening(Schema(b"a,b", ("a", "b")), 10, 3, blanks)


@pytest.mark.parametrize("data", [b"\n", b"\n\r\n\r", BOM + b"\n"])
def test_a_source_of_blank_lines_alone_is_taken_whole_at_its_end(data: bytes) -> None:
    opening = opened(data)
    assert opening is not None
    assert (opening.schema, opening.consumed, opening.lines) == (None, len(data), len(opening.rejects))
    assert opened(data, at_end=False) is None


def test_a_source_that_ends_within_the_lines_to_skip_is_taken_whole() -> None:
    assert opened(b"one\ntwo", ReadOptions(skip_lines=5)) == Opening(None, 7, 2, unterminated=True)
    # When the source grows, lines that were skipped still count.
    options = ReadOptions(skip_lines=3)
    assert find_opening(b"three\na\n", options, line=3, offset=8, at_end=True) == Opening(Schema(b"a", ("a",)), 8, 2)


@given(data=SOUP, options=WANTED)
@example(data=b"\r\na,b\r", options=ReadOptions())
@example(data=b"note\r", options=ReadOptions(skip_lines=1))
def test_more_data_never_changes_a_beginning_that_was_found(data: bytes, options: ReadOptions) -> None:
    def found(end: int, *, at_end: bool) -> Opening | str | None:
        try:
            return opened(data[:end], options, at_end=at_end)
        except ValueError as error:
            return str(error)

    final = found(len(data), at_end=True)
    for end in range(len(data)):
        assert found(end, at_end=False) in (None, final)
    if isinstance(final, Opening):
        assert final.consumed <= len(data)
        breaks = len(re.findall(rb"\r\n|[\r\n]", data[: final.consumed]))
        assert final.lines == breaks + final.unterminated
    assert final is not None or not data


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_refused_with_what_to_do(mark: bytes) -> None:
    with pytest.raises(ValueError, match="UTF-16, which is not read: convert it to UTF-8 first"):
        opened(mark + b"a\0,\0b\0\n\0")


def test_a_header_is_read_in_its_encoding() -> None:
    schema = schema_of("Größe;ß\n".encode("cp1252"), ReadOptions(delimiter=b";", encoding="cp1252"))
    assert schema.columns == ("Größe", "ß")
    assert schema.dialect == Dialect(b";", encoding="cp1252")


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "latin-1", "cp1252", "shift_jis", "gb18030", "koi8-r", "ascii"])
def test_encodings_that_keep_ascii_are_taken(name: str) -> None:
    assert "a,b".encode(find_encoding(name).name) == b"a,b"


@pytest.mark.parametrize("name", ["utf-16", "utf-32", "utf-7", "cp037", "hex", "rot13", "no such", "\0"])
def test_encodings_whose_bytes_cannot_be_told_apart_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="convert to utf-8"):
        find_encoding(name)


def test_a_mark_that_may_be_part_of_a_character_is_known() -> None:
    assert "\u8868".encode("shift_jis") == b"\x95\\"
    assert find_encoding("shift_jis").holds(b"\\")
    assert find_encoding("shift_jis").holds(b"|")
    assert not find_encoding("shift_jis").holds(b",")
    assert not find_encoding("utf-8").holds(b"|")


def test_a_blank_before_a_quote_in_a_header_is_trouble() -> None:
    opening = find_opening(b'S, "N,o"\nM,1\n', ReadOptions(), at_end=True)
    assert opening is not None
    assert opening.schema is not None
    assert opening.schema.columns == ("S", ' "N', 'o"')
    assert "a blank before a quote" in opening.trouble
    opening = find_opening(b"S, N\n", ReadOptions(), at_end=True)
    assert opening is not None
    assert not opening.trouble


def test_excel_s_first_line_names_the_delimiter() -> None:
    schema = Schema(b"a,x;b", ("a,x", "b"), Dialect(b";", eol=b"\r\n"))
    for first in (b"sep=;", b"SEP=;", b'"sep=;"', BOM + b"sep=;"):
        data = first + b"\r\na,x;b\r\n1,5;2,5\r\n"
        assert opened(data, AUTO) == Opening(schema, len(first) + 9, 2)
    assert schema_of(b"sep=\t\na;b\tc\n1\t2\n", AUTO).columns == ("a;b", "c")
    assert opened(b"sep=|\n1;2|3\n", ReadOptions(header="none", delimiter=None)) == Opening(
        Schema(None, ("#1", "#2"), Dialect(b"|")), 6, 1
    )


@pytest.mark.parametrize(
    ("data", "options", "why"),
    [
        (b"sep=;\na;b\n", ReadOptions(), "sep=;: set DELIMITER=auto, which obeys it, or SKIP_LINES=1"),
        (b"sep=;\na;b\n", ReadOptions(delimiter=b";", quote=None), "set DELIMITER=auto"),
        (b"sep=x\naxb\n", AUTO, "sep=x, which names no delimiter: set SKIP_LINES=1"),
        (b"sep=|\na|b\n", ReadOptions(delimiter=None, encoding="gbk"), "may be part of a character in ENCODING=gbk"),
    ],
)
def test_excel_s_first_line_is_never_taken_for_a_header(data: bytes, options: ReadOptions, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        opened(data, options)


def test_a_line_that_only_resembles_excel_s_is_a_line() -> None:
    assert schema_of(b"sep=;,b\n").columns == ("sep=;", "b")
    assert schema_of(b"sep\n1\n").columns == ("sep",)
    assert opened(b"sep=;\na\n", ReadOptions(skip_lines=1)) == Opening(Schema(b"a", ("a",)), 8, 2)


@pytest.mark.parametrize("data", [b"sep=;", b"sep=;\r\n", b"sep=;\n\n"])
def test_excel_s_first_line_alone_is_not_taken(data: bytes) -> None:
    assert opened(data, AUTO) is None


def test_a_file_of_one_column_with_two_returns_to_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape(r"its lines end with \r\r\n")):
        opened(b"a\r\r\n1\r\r\n")
    assert schema_of(b"a,b\r\r\n1,2\r\r\n").dialect.eol == b"\r"
