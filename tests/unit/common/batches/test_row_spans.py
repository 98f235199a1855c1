"""Spans of rows behave like a list of rows, in Python and in the compiled loops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.batches import plain as plain_batches
from common.rows import plain as plain_rows
from tests.harness.row_spans import spans_of

ROWS = st.lists(st.binary(max_size=70), max_size=8)


@given(ROWS, st.integers(1, 2), st.binary(max_size=3), st.data())
def test_they_are_taken_like_a_list(rows: list[bytes], gap: int, before: bytes, data: st.DataObject) -> None:
    spans = spans_of(rows, gap, before)
    assert spans == rows
    assert rows == spans
    assert list(spans) == rows
    assert (len(spans), bool(spans)) == (len(rows), bool(rows))
    for index in range(-len(rows), len(rows)):
        assert spans[index] == rows[index]
    for index in (-len(rows) - 1, len(rows)):
        with pytest.raises(IndexError):
            spans[index]
    ends = st.none() | st.integers(-9, 9)
    first, stop = data.draw(ends), data.draw(ends)
    assert spans[first:stop] == rows[first:stop]
    again = data.draw(ends)
    assert spans[first:stop][again:] == rows[first:stop][again:]


@given(ROWS, st.integers(1, 2), st.binary(max_size=3), st.integers(0, 9), st.data())
def test_the_compiled_loops_take_them_like_a_list(
    rows: list[bytes], gap: int, before: bytes, first: int, data: st.DataObject
) -> None:
    compiled_rows = pytest.importorskip("common.rows.compiled", reason="no compiler")
    compiled_batches = pytest.importorskip("common.batches.compiled", reason="no compiler")
    spans, rows = spans_of(rows, gap, before)[first:], rows[first:]
    assert compiled_rows.sums(spans) == compiled_rows.sums(spans, by_tables=True) == plain_rows.sums(rows)
    assert compiled_rows.take_out(spans) == compiled_rows.take_out(rows) == plain_rows.take_out(spans) == rows
    assert compiled_rows.size_of(spans) == plain_rows.size_of(rows) == plain_rows.size_of(spans)
    ending = b"\r\n"[-gap:]
    assert compiled_rows.join_rows(spans, ending) == compiled_rows.join_rows(rows, ending)
    assert compiled_rows.join_rows(spans, ending) == plain_rows.join_rows(rows, ending)
    key = data.draw(st.none() | st.binary(max_size=70))
    number, later_ms = data.draw(st.integers(0, 200)), data.draw(st.integers(-200, 2**40))
    limit, start = data.draw(st.integers(0, 600)), data.draw(st.integers(0, len(rows)))
    batches = []
    for append, given_rows in (
        (compiled_batches.append_rows, spans),
        (plain_batches.append_rows, spans),
        (plain_batches.append_rows, rows),
    ):
        batch = bytearray(b"head")
        batches.append((append(batch, limit, number, later_ms, key, given_rows, start), batch))
    assert batches[0] == batches[1] == batches[2]


def test_rows_out_of_turn_are_not_taken() -> None:
    with pytest.raises(ValueError, match="one after the other"):
        spans_of([b"a", b"b"], 1)[::2]
