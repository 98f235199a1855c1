"""When a file is finished, and which rows still go into it."""

import math
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from common.protocol.messages import Ended
from common.rows.loops import size_of, take_out
from services.sink.grouping import CsvRun
from services.sink.ledger.entries import Entry
from services.sink.paths.template import DEFAULT_RULE, PathRule

NEVER = -math.inf
# A time that is further ahead than this is of a clock that was set back since.
_AHEAD_S = 1.0


class Limits(Struct, frozen=True):
    """What finishes a file: its bytes, its rows, seconds since it was begun or last added to; 0 is never."""

    size: int = 0
    rows: int = 0
    age_s: float = 0.0
    idle_s: float = 0.0

    def is_full(self, size: int, rows: int) -> bool:
        """Whether a file of this size is full. It is finished at once, not by the first row that does not fit."""
        return bool((self.size and size >= self.size) or (self.rows and rows >= self.rows))

    def due(self, now: float, ended_at: float) -> "Due":
        """What is due at `now`. Files begun by `ended_at`, when every row for them had arrived, are due as well."""
        begun = max(ended_at, now - self.age_s if self.age_s else NEVER)
        changed = now - self.idle_s if self.idle_s else NEVER
        ahead = now + _AHEAD_S
        return Due(begun, changed, ahead if self.age_s else math.inf, ahead if self.idle_s else math.inf)


_NO_LIMITS = Limits()


class Rolling(Struct, frozen=True):
    """How files are named and when they are finished; by default, never."""

    rule: PathRule = DEFAULT_RULE
    limits: Limits = _NO_LIMITS
    at_end: bool = False


NOTHING_FINISHED = Rolling()


class Due(Struct, frozen=True):
    """The files that were begun, or last added to, by one time or after a later one (seconds since 1970).

    Files after the later time are ahead of the clock: waiting until it gets there could take for ever.
    """

    begun_by: float
    changed_by: float
    begun_after: float
    changed_after: float

    def has(self, entry: Entry) -> bool:
        """Whether this open file is one of them."""
        is_begun = entry.began_at <= self.begun_by or entry.began_at > self.begun_after
        return is_begun or entry.changed_at <= self.changed_by or entry.changed_at > self.changed_after


class Portion(Struct, frozen=True):
    """Rows for one file, and whether they fill it."""

    runs: Sequence[CsvRun]
    full: bool


def portions(runs: Sequence[CsvRun], limits: Limits, *, size: int, rows: int, header: int) -> Iterator[Portion]:
    """Cut rows into portions: the first for a file of `size` bytes and `rows` rows, each further one for a new file.

    `header` is the number of bytes that a new file begins with.
    """
    whole_rows = rows + sum(len(run.rows) for run in runs)
    whole_size = size + sum(size_of(run.rows) + len(run.rows) * len(run.eol) for run in runs)
    if not limits.is_full(whole_size, whole_rows):
        yield Portion(runs, full=False)
        return
    adding: list[CsvRun] = []
    for eol, given, stretch in runs:
        begin, values = 0, take_out(given)
        for at, row in enumerate(values, start=1):
            size += len(row) + len(eol)
            rows += 1
            if limits.is_full(size, rows):
                adding.append(CsvRun(eol, values[begin:at], stretch))
                yield Portion(adding, full=True)
                adding, begin, size, rows = [], at, header, 0
        if begin < len(values):
            adding.append(CsvRun(eol, values[begin:], stretch))
    if adding:
        yield Portion(adding, full=False)


def with_end(seen: Mapping[str, int], ended: Ended) -> tuple[dict[str, int], bool]:
    """Count one more end: how often each source's end was seen, and whether this was its last.

    An end comes once from every partition of `rows` that carried the source. A source whose last end came is dropped.
    """
    others = {source: count for source, count in seen.items() if source != ended.source}
    count = seen.get(ended.source, 0) + 1
    return (others, True) if count >= ended.parts else (others | {ended.source: count}, False)
