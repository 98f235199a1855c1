"""Records of `rows` → rows behind the mark that says where they come from. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from msgspec import Struct

from common.batches.record_runs import Record, RecordRun
from common.protocol.messages import Ended, Mark, decode_control
from common.protocol.position import Gap
from common.protocol.rejections import Rejection
from common.rows.codec import JsonCodec
from common.rows.loops import take_out
from common.rows.reasons import Reason


class MarkedRows(Struct, frozen=True):
    """Consecutive rows behind one mark, from a Kafka offset on; `before` are the rows between the mark and them."""

    mark: Mark
    before: Sequence[Sequence[bytes]]
    rows: Sequence[bytes]
    offset: int


class Cursor(Struct):
    """Where reading of `rows` stands: the last mark, its Kafka offset, and the rows read since.

    `committed` is the Kafka offset of the first record that is not processed yet. Reading begins at the mark before it,
    so that the line and offset of every row in its source are known.
    """

    committed: int = 0
    mark: Mark | None = None
    mark_offset: int = 0
    since: tuple[Sequence[bytes], ...] = ()

    @property
    def read_from(self) -> int:
        """The Kafka offset to begin to read at."""
        return min(self.mark_offset, self.committed)


def divide(runs: Iterable[RecordRun | Record], cursor: Cursor) -> Iterator[MarkedRows | Ended]:
    """Divide records into rows by mark, and ends, in their order; the cursor moves on behind them.

    Raises ValueError for rows without a mark before them.
    """
    for run in runs:
        if isinstance(run, Record):
            yield from _control(cursor, run)
        else:
            # How many of these rows are processed already.
            done = min(max(cursor.committed - run.offset, 0), len(run.rows))
            yield from _marked(cursor, run, done)


def up_to(runs: Iterable[RecordRun | Record], limit: int) -> Iterator[RecordRun | Record]:
    """The records before this offset."""
    for run in runs:
        if run.offset >= limit:
            return
        if isinstance(run, RecordRun) and run.offset + len(run.rows) > limit:
            yield run._replace(rows=run.rows[: limit - run.offset])
        else:
            yield run


def outside(marked: MarkedRows, gaps: Sequence[Gap]) -> Iterator[MarkedRows]:
    """The rows that are in none of these gaps."""
    if not gaps:
        yield marked
        return
    for is_in_gap, run in groupby(range(len(marked.rows)), lambda index: _is_in(marked.offset + index, gaps)):
        if not is_in_gap:
            first, *others = run
            rows = marked.rows[first : first + 1 + len(others)]
            yield MarkedRows(marked.mark, (*marked.before, marked.rows[:first]), rows, marked.offset + first)


def rejections(
    marked: MarkedRows, codec: JsonCodec | None, split: str, rejects: Iterable[tuple[int, Reason]]
) -> Iterator[Rejection]:
    """Each rejected row with its line and offset in its source. `rejects` are (index, reason), by ascending index.

    The codec gives JSON rows as the CSV that their source has; None for rows that are CSV.
    """
    rows, before = take_out(marked.rows), list(chain.from_iterable(map(take_out, marked.before)))
    if codec is not None:
        rows, before = codec.decode_all(rows), codec.decode_all(before)
    mark = marked.mark.passed(before)
    done = 0
    for index, reason in rejects:
        mark = mark.passed(rows[done:index])
        done = index
        place = mark.source, mark.line, mark.offset, split
        yield Rejection(*place, reason.text, rows[index], reason.code, mark.is_replay)


def _is_in(offset: int, gaps: Sequence[Gap]) -> bool:
    return any(since <= offset and (until is None or offset < until) for since, until in gaps)


def _control(cursor: Cursor, record: Record) -> Iterator[Ended]:
    control = decode_control(record.headers, record.value)
    if isinstance(control, Mark):
        cursor.mark, cursor.mark_offset, cursor.since = control, record.offset, ()
    elif isinstance(control, Ended) and record.offset >= cursor.committed:
        yield control


def _marked(cursor: Cursor, run: RecordRun, done: int) -> Iterator[MarkedRows]:
    """The rows behind the first `done`, which are processed already."""
    if cursor.mark is None:
        raise ValueError(f"the row at offset {run.offset} has no mark before it: ingest did not write it")
    processed, rows = (run.rows[:done], run.rows[done:]) if done else ([], run.rows)
    if processed:
        cursor.since += (processed,)
    if rows:
        before, cursor.since = cursor.since, (*cursor.since, rows)
        yield MarkedRows(cursor.mark, before, rows, run.offset + len(processed))
