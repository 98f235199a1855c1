"""verify's own reading of CSV agrees with ingest's, whatever the bytes."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows.reasons import Code
from common.rows.schema import Dialect
from ops.verify.rows.records import Record, Rules, cut_at, lines_of, records_of
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


def found(data: bytes, rules: Rules, chunk: int = 5) -> list[Record]:
    return list(records_of(lines_of(in_chunks(data, chunk)), rules))


def items(records: list[Record]) -> list[Item]:
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
