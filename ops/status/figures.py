"""From two looks at a pipeline to its figures: what each source and stage has done, has left, and how fast it goes on.

Every figure is of the later look; a pace, and what follows from it, is of the time between the two. Pure.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from common.protocol.finite_run import STANDARD_INPUT_PREFIX, explain_open
from ops.status.observation import INGEST, SINK, SPLIT, Observation, Replica, SeenPartition
from ops.status.pace import pace_of, time_left_s
from ops.status.source_figures import Delivery, SourceFigures, figures_of, has_more
from ops.status.verdict import PATIENCE_S, Verdict, Work, judge, worst


class StageFigures(Struct, frozen=True):
    """A stage. `rows`: what it has done, and `lag_rows`: what waits for it; without `is_exact`, about.

    ingest counts rows that it has read; what waits for it are bytes of files, `lag_bytes`. split counts rows that it
    has processed, sink rows in files and rejected ones, so that a row counts once for each split; None where sink's
    ledgers are not at hand. `still_s` is as in Work.
    """

    name: str
    verdict: Verdict
    reason: str
    rows: int | None
    rows_per_s: float | None
    lag_rows: int | None
    is_exact: bool
    lag_bytes: int | None
    eta_s: float | None
    still_s: float
    replicas: tuple[Replica, ...]
    partitions: tuple[SeenPartition, ...] = ()


class Figures(Struct, frozen=True):
    """All figures of a pipeline. `over_s` is the time between the looks, 0 if there was one.

    `note` says why more may come, "" when ingest has ended, as far as can be known. `rejected` has what ingest and
    split have rejected: split counts a row once for each split that rejects it.
    """

    at_ms: int
    over_s: float
    verdict: Verdict
    note: str
    stages: tuple[StageFigures, ...]
    sources: tuple[SourceFigures, ...]
    rows: int
    rejected: Mapping[str, int]

    def count(self, delivery: Delivery) -> int:
        """How many sources stand so."""
        return sum(each.delivery is delivery for each in self.sources)

    @property
    def is_early(self) -> bool:
        """Whether a later look is needed to tell if something that waits goes on."""
        return any(each.still_s and each.verdict.goes_on for each in self.stages)


def figures(now: Observation, earlier: Observation | None = None) -> Figures:
    """The figures. `earlier` is a look from before, None if there is none: then there is no pace."""
    before = now if earlier is None else earlier
    stages = (_ingest(now, before), _split(now, before), _sink(now, before))
    sources = [figures_of(each, now, before) for each in now.sources.values()]
    return Figures(
        now.at_ms,
        now.at_s - before.at_s,
        worst(stage.verdict for stage in stages),
        explain_open(now.sources, now.runs, now.progress_partitions),
        stages,
        tuple(sorted(sources, key=_place)),
        sum(each.rows for each in sources),
        {INGEST: sum(each.rejected for each in sources), SPLIT: now.split_rejected},
    )


def recent(looks: Sequence[Observation], at_s: float) -> list[Observation]:
    """Of these looks, in their order: the youngest that shows what stands still at `at_s`, and the later ones."""
    old = [each for each in looks if at_s - each.at_s >= PATIENCE_S]
    return [*old[-1:], *(each for each in looks if at_s - each.at_s < PATIENCE_S)]


def _ingest(now: Observation, before: Observation) -> StageFigures:
    over_s, replicas = now.at_s - before.at_s, now.replicas.get(INGEST, ())
    waiting = sum(each.waiting or 0 for each in now.files.values())
    read = _bytes_read(now) - _bytes_read(before)
    eta_s = time_left_s(waiting, pace_of(read, over_s))
    has_moved = now.sources != before.sources or now.runs != before.runs
    still_s = over_s if _has_files(now) and _has_files(before) and not has_moved else 0.0
    waits = _has_files(now) or (not replicas and _is_left(now))
    verdict = judge(Work(waits, len(replicas), still_s, eta_s))
    rows = _rows_read(now)
    return StageFigures(
        INGEST,
        verdict,
        _reason(verdict, _first_waiting(now), still_s, eta_s),
        rows,
        pace_of(rows - _rows_read(before), over_s),
        lag_rows=None,
        is_exact=True,
        lag_bytes=waiting,
        eta_s=eta_s,
        still_s=still_s,
        replicas=replicas,
    )


def _bytes_read(seen: Observation) -> int:
    return sum(each.offset for each in seen.sources.values())


def _rows_read(seen: Observation) -> int:
    return sum(each.tally.rows for each in seen.sources.values())


def _has_files(seen: Observation) -> bool:
    """Whether a file at hand has something that ingest may read now."""
    return any(has_more(each) for each in seen.files.values())


def _is_left(seen: Observation) -> bool:
    """Whether ingest has left something that is not at hand: a finite run that has not ended, or else a source.

    Of standard input nobody can know: its ingest is in no group.
    """
    states = {run.state for run in seen.runs.values()}
    if "reads" in states or states == {"done"}:
        return "reads" in states
    return any(
        not (each.ended or each.given_up or name in seen.files or name.startswith(STANDARD_INPUT_PREFIX))
        for name, each in seen.sources.items()
    )


def _first_waiting(seen: Observation) -> str:
    waiting = sorted(source for source, file in seen.files.items() if has_more(file))
    if not waiting:
        return "its run, or a source, has not ended"
    return f"{waiting[0]} is not read to its end" + (f", nor are {len(waiting) - 1:,} more" if waiting[1:] else "")


def _split(now: Observation, before: Observation) -> StageFigures:
    done: float = now.split_rows - before.split_rows
    if now.is_filling or before.is_filling:
        # What waits is counted from the split that is farthest back, and `split_rows` stands still until it is there.
        done = max(done, (now.offset_of(SPLIT) - before.offset_of(SPLIT)) * now.split_row_share)
    return _group(SPLIT, now, before, now.split_rows, done)


def _sink(now: Observation, before: Observation) -> StageFigures:
    written, earlier = _rows_written(now), _rows_written(before)
    if written is None or earlier is None:
        # Without ledgers, offsets are all that is known.
        return _group(SINK, now, before, written, (now.offset_of(SINK) - before.offset_of(SINK)) * now.row_share)
    return _group(SINK, now, before, written, written - earlier)


def _rows_written(seen: Observation) -> int | None:
    if seen.rows_in_files is None or seen.rows_rejected is None:
        return None
    return seen.rows_in_files + seen.rows_rejected


def _group(name: str, now: Observation, before: Observation, rows: int | None, done: float) -> StageFigures:
    """A stage that reads topics."""
    over_s, replicas = now.at_s - before.at_s, now.replicas.get(name, ())
    partitions = now.partitions.get(name, ())
    lag, pace = sum(each.rows for each in partitions), pace_of(done, over_s)
    eta_s = time_left_s(lag, pace)
    known = {(each.topic, each.number): each for each in before.partitions.get(name, ())}
    still = [each for each in partitions if _is_still(each, known.get((each.topic, each.number)))]
    still_s = over_s if still else 0.0
    verdict = judge(Work(lag > 0, len(replicas), still_s, eta_s))
    is_exact = all(each.is_exact for each in partitions)
    what = _rows_wait(lag, is_exact=is_exact)
    if verdict is Verdict.STALLED:
        what += f", the first in {still[0].topic}-{still[0].number}"
    return StageFigures(
        name,
        verdict,
        _reason(verdict, what, still_s, eta_s),
        rows,
        pace,
        lag_rows=lag,
        is_exact=is_exact,
        lag_bytes=None,
        eta_s=eta_s,
        still_s=still_s,
        replicas=replicas,
        partitions=partitions,
    )


def _is_still(now: SeenPartition, before: SeenPartition | None) -> bool:
    return before is not None and before.position == now.position and before.rows > 0 and now.rows > 0


def _rows_wait(rows: int, *, is_exact: bool) -> str:
    if rows == 1 and is_exact:
        return "a row waits"
    return f"{'' if is_exact else '~'}{rows:,} {'row waits' if rows == 1 else 'rows wait'}"


def _reason(verdict: Verdict, what: str, still_s: float, eta_s: float | None) -> str:
    match verdict:
        case Verdict.STOPPED:
            return f"{what}, and no replica is at work: start one, or see the log of one that runs"
        case Verdict.STALLED:
            return f"{what}, and nothing has moved for {still_s:.0f} s: see the log of its replicas"
        case Verdict.BEHIND:
            return f"{what}, which takes {eta_s:,.0f} s at this pace"
        case Verdict.OK:
            return ""


def _place(found: SourceFigures) -> tuple[bool, bool, str]:
    """Sources that are under way come first, and of these the ones that are begun."""
    return found.delivery is not Delivery.UNDER_WAY, not found.read_bytes, found.source
