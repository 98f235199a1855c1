"""verify's own reading of a source's beginning agrees with ingest's."""

from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from common.rows.schema import BOM, Schema
from ops.verify.rows.opening import lines_behind, read_beginning
from ops.verify.rows.records import Rules, lines_of, records_of
from services.ingest.parsing.framing import RowBlock, frame
from services.ingest.parsing.opening import Opening, find_opening
from services.ingest.parsing.options import ReadOptions

PIECES = [b"\n", b"\n", b"\r\n", b"\r", b"a", b",", b";", b'"', BOM, b"# note\n", b"a,b\n", b"1;2\n", b"\xff", b"'"]
SOUP = st.tuples(st.sampled_from([b"", b"sep=;\n", BOM]), st.lists(st.sampled_from(PIECES), max_size=12)).map(
    lambda parts: parts[0] + b"".join(parts[1])
)
WANTED = st.builds(ReadOptions, header=st.sampled_from(["first", "none"]), skip_lines=st.integers(0, 3))
AUTO = st.builds(
    ReadOptions, header=st.sampled_from(["first", "none"]), delimiter=st.none(), quote=st.sampled_from([None, b'"'])
)


def by_ingest(data: bytes, options: ReadOptions) -> Opening:
    try:
        opening = find_opening(data, options, at_end=True)
    except ValueError:
        # It is refused whole, so none of its rows is anywhere.
        opening = None
    assume(opening is not None)
    assert opening is not None
    return opening


def rows_by_ingest(data: bytes, opening: Opening, schema: Schema) -> list[bytes]:
    framed = frame(
        data[opening.consumed :],
        dialect=schema.dialect,
        columns=len(schema.columns),
        line=1,
        offset=0,
        at_end=True,
        max_row_bytes=1000,
    )
    return [row for part in framed.frames if isinstance(part, RowBlock) for row in part.rows]


def pieces(data: bytes) -> Iterator[bytes]:
    return (data[start : start + 7] for start in range(0, len(data), 7))


@given(SOUP, WANTED | AUTO)
@example(b'a,"b\nc"\r', ReadOptions())
@example(b'a,"b"c,"d\nx', ReadOptions())
@example(BOM + b"1,2\n3,4", ReadOptions(header="none"))
def test_header_dialect_and_first_row_are_those_of_ingest(data: bytes, options: ReadOptions) -> None:
    opening = by_ingest(data, options)
    beginning = read_beginning(lines_of(pieces(data)), options)
    blanks = [(each.line, each.offset, each.text) for each in beginning.blanks]
    assert blanks == [(each.line, each.offset, each.raw) for each in opening.rejects]
    if opening.schema is None:
        assert beginning.candidates == []
        return
    assert opening.schema in beginning.candidates
    if not options.is_auto:
        assert len(beginning.candidates) == 1
    dialect = opening.schema.dialect
    rules = Rules(dialect.delimiter, dialect.quote, len(opening.schema.columns), 1000)
    found = list(records_of(lines_behind(beginning, opening.schema), rules))
    assert [each.text for each in found if each.code is None] == rows_by_ingest(data, opening, opening.schema)
    if found:
        assert (found[0].line, found[0].offset) == (opening.lines + 1, opening.consumed)


@pytest.mark.parametrize("rows", [70_000, 400_000])
def test_a_quote_in_the_header_that_is_not_closed_makes_its_line_the_header(rows: int) -> None:
    data = b'"a,b\n' + b"1,2\n" * (rows // 4) + b'"'
    opening = find_opening(data, ReadOptions(), at_end=True)
    assert opening is not None
    assert read_beginning(lines_of(pieces(data)), ReadOptions()).candidates == [opening.schema]
