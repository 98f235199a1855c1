"""Records of `rows` → spans of rows of which it is known where they come from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from common.batches.record_runs import Record, RecordRun
from common.protocol.messages import Ended, Mark, decode_control
from common.protocol.position import Gap


@dataclass(frozen=True, slots=True)
class Span:
    """Rows that follow each other behind one mark, from a Kafka offset on; `before` are those between it and them."""

    mark: Mark
    before: Sequence[Sequence[bytes]]
    rows: list[bytes]
    offset: int


@dataclass(slots=True)
class Cursor:
    """Where in `rows` a partition task stands: the last mark, its Kafka offset, and the rows read since.

    `committed` is the Kafka offset of the first record that is not carried yet. Reading begins at the mark before it,
    so that every row's place in its source is known.
    """

    committed: int = 0
    mark: Mark | None = None
    mark_offset: int = 0
    since: tuple[Sequence[bytes], ...] = ()

    @property
    def read_from(self) -> int:
        """The Kafka offset to begin to read at."""
        return min(self.mark_offset, self.committed)


def divide(runs: Iterable[RecordRun | Record], cursor: Cursor) -> Iterator[Span | Ended]:
    """The spans and ends in these records, in their order; the cursor moves on behind them.

    Raises ValueError for rows that no mark stands before.
    """
    for run in runs:
        if isinstance(run, Record):
            yield from _control(cursor, run)
        else:
            # How many of these rows are carried already.
            done = min(max(cursor.committed - run.offset, 0), len(run.rows))
            yield from _span(cursor, run, done)


def up_to(runs: Iterable[RecordRun | Record], limit: int) -> Iterator[RecordRun | Record]:
    """The records before this offset."""
    for run in runs:
        if run.offset >= limit:
            return
        if isinstance(run, RecordRun) and run.offset + len(run.rows) > limit:
            yield run._replace(rows=run.rows[: limit - run.offset])
        else:
            yield run


def outside(span: Span, gaps: Sequence[Gap]) -> Iterator[Span]:
    """The parts of a span that are in none of these gaps."""
    if not gaps:
        yield span
        return
    for is_in_gap, run in groupby(range(len(span.rows)), lambda index: _is_in(span.offset + index, gaps)):
        if not is_in_gap:
            first, *others = run
            rows = span.rows[first : first + 1 + len(others)]
            yield Span(span.mark, (*span.before, span.rows[:first]), rows, span.offset + first)


def _is_in(offset: int, gaps: Sequence[Gap]) -> bool:
    return any(since <= offset and (until is None or offset < until) for since, until in gaps)


def _control(cursor: Cursor, record: Record) -> Iterator[Ended]:
    control = decode_control(record.headers, record.value)
    if isinstance(control, Mark):
        cursor.mark, cursor.mark_offset, cursor.since = control, record.offset, ()
    elif control is not None and record.offset >= cursor.committed:
        yield control


def _span(cursor: Cursor, run: RecordRun, done: int) -> Iterator[Span]:
    """The span of the rows behind the first `done`, which are carried already."""
    if cursor.mark is None:
        raise ValueError(f"the row at offset {run.offset} has no mark before it: ingest did not write it")
    carried, rows = (run.rows[:done], run.rows[done:]) if done else ([], run.rows)
    if carried:
        cursor.since += (carried,)
    if rows:
        before, cursor.since = cursor.since, (*cursor.since, rows)
        yield Span(cursor.mark, before, rows, run.offset + len(carried))
