import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.rows.schema import BOM, Dialect, Schema
from ops.validate.columns import ColumnFields
from ops.validate.examination import (
    MAX_REASONS,
    CountedReason,
    ExaminedChunk,
    ExaminedSource,
    ReadPosition,
    RejectionSummary,
    examine_chunk,
    with_chunk,
    with_rejects,
)
from services.ingest.parsing.framing import Reject, frame
from services.ingest.parsing.options import ReadOptions

PIECES = [b"\n", b"\r\n", b"\r", b"a", b",", b'"', BOM, b"\xff", b"a,b\n", b"1,2\n", b'"x\ny",3\n', b"long" * 5]
SOUP = st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)
OPTIONS = st.builds(
    ReadOptions,
    header=st.sampled_from(["first", "none"]),
    skip_lines=st.integers(0, 2),
    row_format=st.sampled_from(["csv", "json"]),
)
MAX_ROW_BYTES = 12


def read(
    data: bytes, ends: list[int], options: ReadOptions | None = None
) -> tuple[ExaminedSource, list[ExaminedChunk]]:
    """Read a source that has grown to each of these ends in turn, then all of it."""
    source, position = ExaminedSource("s"), ReadPosition()
    chunks: list[ExaminedChunk] = []
    for end in [*sorted(end % (len(data) + 1) for end in ends), len(data)]:
        at_end = len(chunks) == len(ends)
        part = data[position.offset : max(end, position.offset)]
        chunk = examine_chunk(part, position, options or ReadOptions(), at_end=at_end, max_row_bytes=MAX_ROW_BYTES)
        source, position = with_chunk(source, chunk), chunk.position
        chunks.append(chunk)
    return source, chunks


def judged(data: bytes, options: ReadOptions | None = None) -> ExaminedSource:
    return read(data, [], options)[0]


@given(data=SOUP, ends=st.lists(st.integers(0, 200), max_size=4), options=OPTIONS)
# A lone CR within quotes ends a physical line: the rows after it lie one line further down, in the same block or not.
@example(data=b'a,b\n"\r""x\ny",3\n,\n', ends=[15], options=ReadOptions(row_format="json"))
@example(data=b'a,b\n"\r",1\n"\xff",2\n', ends=[10], options=ReadOptions())
def test_how_a_source_is_cut_makes_no_difference_and_all_of_it_is_used(
    data: bytes, ends: list[int], options: ReadOptions
) -> None:
    try:
        whole, [chunk] = read(data, [], options)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            read(data, ends, options)
        return
    assert chunk.position.offset == len(data)
    in_parts, _ = read(data, ends, options)
    assert in_parts == whole


@given(SOUP)
def test_rows_and_bad_rows_are_those_that_ingest_frames(data: bytes) -> None:
    dialect = Dialect()
    framed = frame(data, dialect=dialect, columns=2, line=2, offset=4, at_end=True, max_row_bytes=MAX_ROW_BYTES)
    rejects = [part for part in framed.frames if isinstance(part, Reject)]
    source = judged(b"a,b\n" + data)
    assert source.rows == sum(len(part.rows) for part in framed.frames if not isinstance(part, Reject))
    assert source.rejections == with_rejects(
        RejectionSummary(), [(part.reason.text, f"s:{part.line}") for part in rejects]
    )
    assert all(fields.filled + fields.empty == source.rows for fields in source.columns)


def test_a_source_is_described_by_its_rows_columns_and_rejections() -> None:
    source = judged(b'a,b\n1,x\n2,\n\n"3","y\ny"\n4\n5,\xff\n')
    assert source.schema == Schema(b"a,b", ("a", "b"))
    assert (source.rows, source.longest_bytes) == (4, 9)
    assert source.columns == (ColumnFields(("int", "float"), 4, 0), ColumnFields((), 3, 1))
    assert source.rejections == RejectionSummary(
        2, (CountedReason("blank line", 1, ("s:4",)), CountedReason("1 field, the header has 2", 1, ("s:7",)))
    )
    # The line break within quotes counts as a line.
    assert source.no_text == RejectionSummary(1, (CountedReason("not UTF-8", 1, ("s:8",)),))


def test_wrong_quotes_of_a_header_are_reported_once_it_is_read() -> None:
    for data in (b'a,"b\n1,2\n', b'a,"b"x\n1,2\n', b'a, "b"\n1,2\n'):
        _, chunks = read(data, [3])
        assert [bool(chunk.trouble) for chunk in chunks] == [False, True]
    _, chunks = read(b'a,"b"\n1,2\n', [3])
    assert not any(chunk.trouble for chunk in chunks)


@pytest.mark.parametrize("data", [b"", b"\n\n"])
def test_a_source_without_a_row_has_no_schema(data: bytes) -> None:
    source = judged(data)
    assert (source.schema, source.rows, source.rejections.count) == (None, 0, len(data))


def test_a_row_without_a_json_form_is_bad_if_rows_travel_as_json() -> None:
    options = ReadOptions(row_format="json")
    source = judged(b"a\n\xff\nb\n", options)
    assert source.rows == 1
    assert [reason.locations for reason in source.rejections.reasons] == [("s:2",)]
    # A record is as long as its JSON object.
    assert source.longest_bytes == len(b'{"a":"b"}')


def test_a_beginning_that_cannot_be_read_is_reported_as_ingest_reports_it() -> None:
    with pytest.raises(ValueError, match="UTF-16"):
        judged(b"\xff\xfea\0")


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 9).map(str)), max_size=40), st.integers(0, 40))
def test_rejections_count_all_and_keep_the_first(found: list[tuple[str, str]], cut: int) -> None:
    rejections = with_rejects(RejectionSummary(), found)
    assert with_rejects(with_rejects(RejectionSummary(), found[:cut]), found[cut:]) == rejections
    assert rejections.count == len(found)
    kept = list(dict.fromkeys(reason for reason, _ in found))[:MAX_REASONS]
    assert [reason.text for reason in rejections.reasons] == kept
    for reason in rejections.reasons:
        locations = [location for text, location in found if text == reason.text]
        assert (reason.count, list(reason.locations)) == (len(locations), locations[:3])


def test_many_rows_at_once_are_taken_apart_in_parts() -> None:
    source = judged(b"a\n" + b"7\n" * 25_000)
    assert source == replace(source, rows=25_000, columns=(ColumnFields(("int", "float"), 25_000, 0),))
