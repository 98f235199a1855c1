"""Record batches of the three topics of rows → rows behind one another that have one origin. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from common.batches.record_runs import Record, RecordRun
from common.protocol.category_keys import parse_file_key, parse_row_key, row_key
from common.protocol.decoding import as_written
from common.protocol.messages import Control, Mark, SourceMark, decode_control
from common.protocol.rejections import Rejection, decode_rejection

_MAX_KEPT_KEYS = 1_000


class Stage(StrEnum):
    """The topics that have rows, in the order in which a row passes through them."""

    ROWS = "rows"
    CATEGORIZED = "categorized"
    REJECTED = "rejected"


class Origin(Struct, frozen=True):
    """Where rows come from and go to, None for what their topic does not say; `key` names split and category."""

    source: str | None = None
    schema: str | None = None
    split: str | None = None
    category: str | None = None
    key: str | None = None
    code: str | None = None
    reason: str | None = None


class OriginRun(Struct, frozen=True):
    """Consecutive rows of one origin, from a Kafka offset on.

    `mark` has the line and offset of the first of the rows `before` them, or, without these, of the first of them.
    """

    offset: int
    rows: Sequence[bytes]
    origin: Origin
    mark: Mark | None = None
    before: tuple[Sequence[bytes], ...] = ()

    def between(self, start: int, end: int | None) -> "OriginRun | None":
        """Those of its rows that have Kafka offsets from `start` on, and before `end`; None if it has none."""
        first = max(start - self.offset, 0)
        last = len(self.rows) if end is None else min(end - self.offset, len(self.rows))
        if first >= last:
            return None
        before = (*self.before, self.rows[:first]) if first else self.before
        return replace(self, offset=self.offset + first, rows=self.rows[first:last], before=before)


def origin_runs(stage: Stage, batch: Iterable[RecordRun | Record]) -> Iterator[OriginRun]:
    """The rows of one whole batch, in their order; a row that Nacre did not write has an empty origin.

    A batch needs none of those before it: one that has rows begins with a mark, or its rows need none.
    """
    mark: Mark | SourceMark | None = None
    before: tuple[Sequence[bytes], ...] = ()
    for part in batch:
        if stage is Stage.REJECTED:
            yield from _rejections(part)
            continue
        control = _control_of(part)
        if isinstance(control, Mark | SourceMark):
            mark, before = control, ()
        if control is not None:
            continue
        rows = _rows_of(part)
        if isinstance(mark, Mark):
            yield OriginRun(part.offset, rows, Origin(mark.source, mark.schema, mark.split or None), mark, before)
            before = (*before, rows)
        else:
            yield OriginRun(part.offset, rows, _categorized(mark, part.key))


def _rows_of(part: RecordRun | Record) -> list[bytes]:
    """The values; empty where a record, which is then not Nacre's, has none."""
    return [row or b"" for row in (part.rows if isinstance(part, RecordRun) else [part.value])]


def _control_of(part: RecordRun | Record) -> Control | None:
    if isinstance(part, RecordRun):
        return None
    try:
        return decode_control(part.headers, part.value)
    except ValueError:
        # Not Nacre's: it is shown as a row.
        return None


def _categorized(mark: SourceMark | None, key: bytes | None) -> Origin:
    """The origin of a row with this key; without a mark it is of format 1, whose rows name no source."""
    origin = Origin() if mark is None else Origin(mark.source, mark.schema)
    if key is None:
        return origin
    try:
        with as_written():
            schema, split, text = _read_key(key, is_marked=mark is not None)
    except ValueError:
        return origin
    _, has_category, category = text.partition("=")
    return replace(
        origin, schema=schema or origin.schema, split=split, category=category if has_category else None, key=text
    )


@lru_cache(_MAX_KEPT_KEYS)
def _read_key(key: bytes, *, is_marked: bool) -> tuple[str, str, str]:
    """Schema ("" where the mark has it), split, and the key as it is from format 2 on."""
    if is_marked:
        split, _ = parse_row_key(key)
        return "", split, key.decode()
    schema, split, category = parse_file_key(key)
    return schema, split, row_key(split, category).decode()


def _rejections(part: RecordRun | Record) -> Iterator[OriginRun]:
    """The rejection that a record is; none where it is a note or an end."""
    if isinstance(part, RecordRun):
        yield OriginRun(part.offset, _rows_of(part), Origin())
        return
    try:
        found = decode_rejection(part.headers, part.value)
    except ValueError:
        yield OriginRun(part.offset, _rows_of(part), Origin())
        return
    if isinstance(found, Rejection):
        origin = Origin(found.source, split=found.split, code=found.code, reason=found.reason)
        mark = Mark(found.source, "", found.line, found.offset, b"", plain=True)
        yield OriginRun(part.offset, _rows_of(part), origin, mark)
