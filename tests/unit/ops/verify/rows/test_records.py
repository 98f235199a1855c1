"""verify's own reading of CSV agrees with ingest's, whatever the bytes."""

import time
import tracemalloc
from collections.abc import Iterator

import pytest
from google_crc32c import value as crc32c
from hypothesis import given
from hypothesis import strategies as st

from common.rows.reasons import Code
from common.rows.schema import Dialect
from ops.verify.rows.records import CsvRecord, Line, Rules, cut_at, lines_of, records_of
from ops.verify.spool import row_digest
from services.ingest.parsing.following import find_line_rest
from services.ingest.parsing.framing import Reject, frame
from services.ingest.parsing.patterns import count_breaks
from tests.harness.csv_pieces import PIECES

SOUP = st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join)
QUOTES = st.sampled_from([b'"', b"'", b""])

# Line, offset, bytes, and the line ending of a row or the code of what is none.
Item = tuple[int, int, bytes, bytes | Code]


def in_chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def found(data: bytes, rules: Rules, chunk: int = 5) -> list[CsvRecord]:
    return list(records_of(lines_of(in_chunks(data, chunk)), rules))


def shortened(data: bytes, chunk: int, longest: int, cut: int = 0) -> list[Line]:
    return list(lines_of(in_chunks(data, chunk), 1, longest, cut))


def items(records: list[CsvRecord]) -> list[Item]:
    return [(each.line, each.offset, each.text, each.eol if each.code is None else each.code) for each in records]


def by_ingest(data: bytes, rules: Rules, line: int = 1, offset: int = 0) -> list[Item]:
    dialect = Dialect(rules.delimiter, rules.quote)
    framed = frame(
        data, dialect=dialect, columns=rules.columns, line=line, offset=offset, at_end=True, max_row_bytes=rules.longest
    )
    expected: list[Item] = []
    for part in framed.frames:
        if isinstance(part, Reject):
            expected.append((part.line, part.offset, part.raw, part.reason.code))
            continue
        line, offset = part.line, part.offset
        for row in part.rows:
            expected.append((line, offset, row, part.eol))
            line += count_breaks(row, 0, len(row)) + 1
            offset += len(row) + len(part.eol)
    return expected


@given(SOUP, QUOTES, st.integers(1, 3), st.sampled_from([3, 7, 12, 1000]), st.integers(1, 9))
def test_records_are_those_of_ingest(data: bytes, quote: bytes, columns: int, longest: int, chunk: int) -> None:
    rules = Rules(b",", quote, columns, longest)
    assert items(found(data, rules, chunk)) == by_ingest(data, rules)


@given(SOUP, st.integers(1, 3), st.data())
def test_what_came_after_a_row_was_taken_as_ended_is_late(data: bytes, columns: int, draw: st.DataObject) -> None:
    rules = Rules(b",", b'"', columns, 1000)
    cut = draw.draw(st.integers(0, len(data)))
    # As ingest reads it: what is there is taken as ended, and then more comes.
    expected = by_ingest(data[:cut], rules)
    breaks = count_breaks(data[:cut], 0, cut)
    is_open = not data[:cut].endswith((b"\n", b"\r")) and cut > 0
    rest = find_line_rest(
        data[cut:], line=breaks + 2, offset=cut, unterminated=is_open, ends_with_cr=data[:cut].endswith(b"\r")
    )
    if rest is None or rest.reject is None:
        return
    expected.append((rest.reject.line, rest.reject.offset, rest.reject.raw, Code.LATE))
    at = cut + rest.used
    expected += by_ingest(data[at:], rules, breaks + 2, at)
    lines = cut_at(lines_of(in_chunks(data, 4)), [cut])
    assert items(list(records_of(lines, rules))) == expected


@pytest.mark.parametrize("line", [b'"', b'a,"b', b'""', b'"a"b'])
def test_wrong_quotes_take_little_time(line: bytes) -> None:
    data = (line + b"\n") * 20_000 + b'"\n' + b"a,b\n" * 20_000
    began = time.monotonic()
    assert len(found(data, Rules(b",", b'"', 2, 10_000), 2**20)) > 1_000
    assert time.monotonic() - began < 20


@given(SOUP, st.integers(1, 9), st.integers(0, 12))
def test_of_lines_that_are_too_long_a_beginning_and_sums_are_kept(data: bytes, chunk: int, longest: int) -> None:
    wholes = list(lines_of(in_chunks(data, chunk)))
    assert b"".join(line.text + line.eol for line in wholes) == data
    for line, whole in zip(shortened(data, chunk, longest), wholes, strict=True):
        if line.whole is None:
            assert line == whole
        else:
            assert line._replace(text=whole.text, whole=None) == whole
            assert whole.text.startswith(line.text)
            assert len(line.text) > longest
            assert line.whole == (len(whole.text), row_digest(whole.text), crc32c(whole.text))


@given(SOUP, QUOTES, st.integers(1, 3), st.integers(1, 12), st.integers(1, 9), st.data())
def test_records_of_shortened_lines_are_the_same(
    data: bytes, quote: bytes, columns: int, longest: int, chunk: int, draw: st.DataObject
) -> None:
    rules = Rules(b",", quote, columns, longest)
    cut = draw.draw(st.integers(0, len(data)))
    lines = cut_at(shortened(data, chunk, longest, cut), [cut])
    expected = records_of(cut_at(lines_of([data]), [cut]), rules)
    for record, whole in zip(records_of(lines, rules), expected, strict=True):
        assert record[1:5] == whole[1:5]
        assert record.text[:longest] == whole.text[:longest]
        assert record.code is not None or record == whole


def test_a_line_without_an_end_takes_little_time_and_memory() -> None:
    chunk = b"x," * 2**19
    tracemalloc.start()
    began = time.monotonic()
    try:
        [line] = lines_of((chunk for _ in range(256)), 1, 900_000)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 20
    assert line.whole is not None
    assert line.whole.size == 256 * 2**20
