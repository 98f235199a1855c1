"""The records of a source that may still grow: the rules of framing, and what is known of the source's end."""

from contextlib import suppress
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from common.protocol.messages import HALF_CRLF
from common.rows.reasons import Code, Reason
from common.rows.schema import Schema
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.framing import Framed, Reject, RowBlock, frame
from services.ingest.parsing.opening import MOST_REJECTS, Opening, find_opening
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.patterns import ENDING, count_breaks

_LATE = Reason(
    Code.LATE, "the rest of a row that was taken as ended, because the file had not grown for UNTERMINATED_S seconds"
)


class LineRest(Struct, frozen=True):
    """What belongs to the line that was taken last: so many bytes, and those of them that come too late.

    `unterminated`: the line still has no ending.
    """

    used: int
    reject: Reject | None = None
    unterminated: bool = False


def find_line_rest(data: bytes, *, line: int, offset: int, unterminated: bool, ends_with_cr: bool) -> LineRest | None:
    """What in `data`, at `line` and `offset` of its source, belongs to the line taken last; None if nothing does.

    That is the second half of CRLF, if the first half was at the source's end (`ends_with_cr`); or, if the last row was
    taken without a line ending (`unterminated`), that ending, or bytes that come too late.
    """
    if not data:
        return None
    if not unterminated:
        return LineRest(1) if ends_with_cr and data.startswith(b"\n") else None
    ending = ENDING.search(data)
    if ending is not None and ending.start() == 0:
        return LineRest(ending.end())
    late, used = (data, len(data)) if ending is None else (data[: ending.start()], ending.end())
    return LineRest(used, Reject(late, line - 1, offset, _LATE), unterminated=ending is None)


def find_expected_opening(
    data: bytes, options: ReadOptions, expected: Expected, *, line: int, offset: int, hurry: bool
) -> Opening | None:
    """The beginning of a source of which this much more is `expected`; as `find_opening`, ValueError included."""
    find = partial(find_opening, data, options, line=line, offset=offset, hurry=hurry)
    opening = find(at_end=expected is Expected.NOTHING)
    if opening is None and expected is Expected.NOT_NOW and options.header == "first":
        # Detecting a dialect waits for more than a few rows. More data may also mend what is wrong now.
        with suppress(ValueError):
            found = find(at_end=True)
            return None if found is not None and found.trouble else found
    return opening


def frame_expected(
    data: bytes, schema: Schema, expected: Expected, *, line: int, offset: int, max_row_bytes: int
) -> Framed:
    """The complete records of `data`, of a source of which this much more is `expected`."""
    find = partial(
        frame,
        data,
        dialect=schema.dialect,
        columns=len(schema.columns),
        line=line,
        offset=offset,
        max_row_bytes=max_row_bytes,
        most_rejects=MOST_REJECTS,
    )
    framed = find(at_end=expected is Expected.NOTHING)
    if not data.endswith(b"\r"):
        return framed
    if expected is Expected.NOT_NOW and schema.dialect.eol == b"\r":
        # Where lines end with CR, the last one is complete, unless it, or one before it, is within quotes.
        whole = find(at_end=True)
        is_one_more = _count_records(whole) == _count_records(framed) + 1
        if is_one_more and whole.consumed == len(data) and isinstance(whole.frames[-1], RowBlock):
            return whole
    if expected is Expected.NOTHING and schema.dialect.eol != b"\r" and framed.consumed == len(data):
        return _with_half_ending(framed, line, offset)
    return framed


def _with_half_ending(framed: Framed, line: int, offset: int) -> Framed:
    """What was framed at `line` and `offset` of a source that ends with CR: LF may still follow its last row."""
    last = framed.frames[-1]
    if not isinstance(last, RowBlock) or last.eol != b"\r":
        return framed
    row = last.rows[-1]
    before = [replace(last, rows=last.rows[:-1])] if len(last.rows) > 1 else []
    row_line = line + framed.lines - 1 - count_breaks(row, 0, len(row))
    half = RowBlock([row], HALF_CRLF, row_line, offset + framed.consumed - 1 - len(row), last.plain)
    return Framed([*framed.frames[:-1], *before, half], framed.consumed, framed.lines)


def _count_records(framed: Framed) -> int:
    return sum(len(each.rows) if isinstance(each, RowBlock) else 1 for each in framed.frames)
