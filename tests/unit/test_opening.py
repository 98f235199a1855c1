import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.schema import BOM, Dialect, Schema
from services.ingest.encodings import find_encoding
from services.ingest.framing import Reject
from services.ingest.opening import SAMPLE_BYTES, Opening, Sniff, Wanted, find_opening
from services.ingest.sniffing import sniff

PIECES = [b"\n", b"\n", b"\r\n", b"\r", b"a", b",", b'"', BOM, b"# note\n", b"a,b\n", b"1,2\n", b"\xff"]
SOUP = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
WANTED = st.builds(Wanted, header=st.sampled_from(["first", "none"]), skip_lines=st.integers(0, 3))


def no_sniff(sample: bytes) -> tuple[bytes, bytes]:
    raise AssertionError(f"nothing is to be found out from {sample!r}")


def opened(
    data: bytes, wanted: Wanted | None = None, sniff: Sniff = no_sniff, *, at_end: bool = True
) -> Opening | None:
    return find_opening(data, wanted or Wanted(), sniff, at_end=at_end)


def schema_of(data: bytes, wanted: Wanted | None = None, sniff: Sniff = no_sniff) -> Schema:
    opening = opened(data, wanted, sniff)
    assert opening is not None
    assert opening.schema is not None
    return opening.schema


def test_the_first_record_is_the_header() -> None:
    schema = Schema(b'a,"b\nc"', ("a", "b\nc"), Dialect(eol=b"\r\n"))
    assert opened(b'a,"b\nc"\r\n1,2\r\n') == Opening(schema, 9, 2)
    assert opened(b"a,b") == Opening(Schema(b"a,b", ("a", "b")), 3, 1, unterminated=True)


def test_without_a_header_columns_are_numbered_and_no_row_is_taken() -> None:
    schema = Schema(None, ("#1", "#2"))
    assert opened(b"1,2\n", Wanted(header="none")) == Opening(schema, 0, 0)
    assert opened(b"\n1,2\n", Wanted(header="none")) == Opening(schema, 0, 0)
    assert opened(BOM + b"1,2\n", Wanted(header="none")) == Opening(schema, 3, 0)


def test_lines_are_skipped_before_the_header_whatever_quotes_they_hold() -> None:
    data = b'made by "someone\r\n\r\na,b\r\n1,2\r\n'
    assert opened(data, Wanted(skip_lines=2)) == Opening(Schema(b"a,b", ("a", "b"), Dialect(eol=b"\r\n")), 25, 3)
    assert opened(data, Wanted(header="none", skip_lines=2)) == Opening(
        Schema(None, ("#1", "#2"), Dialect(eol=b"\r\n")), 20, 2
    )


def test_blank_lines_before_the_header_are_rejected_each_with_its_place() -> None:
    opening = opened(BOM + b"\n\r\na,b\n")
    blanks = (Reject(BOM, 1, 0, "blank line"), Reject(b"", 2, 4, "blank line"))
    assert opening == Opening(Schema(b"a,b", ("a", "b")), 10, 3, blanks)


@pytest.mark.parametrize("data", [b"\n", b"\n\r\n\r", BOM + b"\n"])
def test_a_source_of_blank_lines_alone_is_taken_whole_at_its_end(data: bytes) -> None:
    opening = opened(data)
    assert opening is not None
    assert (opening.schema, opening.consumed, opening.lines) == (None, len(data), len(opening.rejects))
    assert opened(data, at_end=False) is None


def test_a_source_that_ends_within_the_lines_to_skip_is_taken_whole() -> None:
    assert opened(b"one\ntwo", Wanted(skip_lines=5)) == Opening(None, 7, 2, unterminated=True)
    # When it grows, those that were skipped are not skipped again.
    wanted = Wanted(skip_lines=3)
    assert find_opening(b"three\na\n", wanted, no_sniff, line=3, offset=8, at_end=True) == Opening(
        Schema(b"a", ("a",)), 8, 2
    )


@given(data=SOUP, wanted=WANTED)
@example(data=b"\r\na,b\r", wanted=Wanted())
@example(data=b"note\r", wanted=Wanted(skip_lines=1))
def test_more_data_never_change_a_beginning_that_was_found(data: bytes, wanted: Wanted) -> None:
    def found(end: int, *, at_end: bool) -> Opening | str | None:
        try:
            return opened(data[:end], wanted, at_end=at_end)
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
    schema = schema_of("Größe;ß\n".encode("cp1252"), Wanted(delimiter=b";", encoding="cp1252"))
    assert schema.columns == ("Größe", "ß")
    assert schema.dialect == Dialect(b";", encoding="cp1252")


def test_what_is_to_be_found_out_waits_for_a_sample_or_the_end() -> None:
    wanted = Wanted(delimiter=None)
    line = b"a;b\n"
    assert opened(line, wanted, sniff, at_end=False) is None
    assert schema_of(line, wanted, sniff).columns == ("a", "b")
    opening = opened(line * SAMPLE_BYTES, wanted, sniff, at_end=False)
    assert opening is not None


def in_columns(delimiter: str) -> Callable[[int], str]:
    return lambda n: delimiter.join([f"name {n}", f"{n / 7:.3f}", f"2026-01-{n % 28 + 1:02}", "yes" if n % 3 else ""])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("bom", [b"", BOM])
def test_the_delimiter_is_found_out(delimiter: str, bom: bytes) -> None:
    header = delimiter.join(["name", "value", "day", "flag"])
    text = "\n".join([header, *map(in_columns(delimiter), range(200)), ""])
    assert sniff(bom + text.encode()[:SAMPLE_BYTES]) == (delimiter.encode(), b'"')


def test_quotes_are_found_out() -> None:
    assert sniff(b"a,b\n'x,y',1\n'z, w',2\n'v',3\n") == (b",", b"'")
    assert sniff(b'a;b\n"x;y";1\n"z;w";2\n') == (b";", b'"')


@given(st.binary(max_size=300))
def test_whatever_a_sample_is_something_is_found(sample: bytes) -> None:
    delimiter, quote = sniff(sample)
    assert len(delimiter) == 1
    assert delimiter.isascii()
    assert delimiter != quote


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "latin-1", "cp1252", "shift_jis", "gb18030", "koi8-r", "ascii"])
def test_encodings_that_keep_ascii_are_taken(name: str) -> None:
    assert "a,b".encode(find_encoding(name).name) == b"a,b"


@pytest.mark.parametrize("name", ["utf-16", "utf-32", "utf-7", "cp037", "hex", "rot13", "no such", "\0"])
def test_encodings_whose_bytes_cannot_be_told_apart_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="convert to utf-8"):
        find_encoding(name)


def test_a_mark_within_a_character_is_told() -> None:
    assert "\u8868".encode("shift_jis") == b"\x95\\"
    assert find_encoding("shift_jis").holds(b"\\")
    assert find_encoding("shift_jis").holds(b"|")
    assert not find_encoding("shift_jis").holds(b",")
    assert not find_encoding("utf-8").holds(b"|")
