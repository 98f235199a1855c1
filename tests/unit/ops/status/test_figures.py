"""From two looks to figures: rows, paces, what waits, deliveries and verdicts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.protocol.progress import Progress, Run
from common.rows.tally import Tally
from ops.status.figures import Figures, StageFigures, figures, recent
from ops.status.observation import (
    INGEST,
    SINK,
    SPLIT,
    STAGES,
    Observation,
    Replica,
    SeenFile,
    SeenPartition,
    SeenReceipt,
)
from ops.status.source_figures import Delivery, SourceFigures
from ops.status.verdict import PATIENCE_S, Verdict

ONE = (Replica("host.0"),)
ALL_THERE = dict.fromkeys(STAGES, ONE)
FOLLOWS = {0: Run(0, "1", "follows")}


def progress(name: str = "/a", offset: int = 0, rows: int = 0, **fields: Any) -> Progress:
    return Progress(name, offset=offset, tally=Tally(rows), format=2, **fields)


def ended(name: str = "/a", size: int = 100, rows: int = 10, ends: int = 1, **fields: Any) -> Progress:
    return progress(name, size, rows, ended=True, size=size, ends=ends, **fields)


def sources(*known: Progress) -> dict[str, Progress]:
    return {each.source: each for each in known}


def look(at_s: float = 0.0, *known: Progress, **fields: Any) -> Observation:
    given_fields = {"runs": FOLLOWS, "replicas": ALL_THERE, "progress_partitions": 1, **fields}
    return Observation(at_s, 0, sources(*known), **given_fields)


def stage(found: Figures, name: str) -> StageFigures:
    return next(each for each in found.stages if each.name == name)


def only(found: Figures) -> SourceFigures:
    [source] = found.sources
    return source


def partitions(*rows: int, position: int = 0) -> dict[str, tuple[SeenPartition, ...]]:
    seen = (SeenPartition("rows", number, position, 1_000, count) for number, count in enumerate(rows))
    return {SPLIT: tuple(seen)}


def test_paces_and_times_left_are_of_the_time_between_two_looks() -> None:
    files = {"/a": SeenFile(1_000, 600)}
    before = look(10.0, progress(offset=200, rows=20), files=files, partitions=partitions(90), split_rows=10)
    now = look(
        12.0, progress(offset=400, rows=40), files=files, partitions=partitions(10, 20, position=5), split_rows=50
    )
    found = figures(now, before)
    ingest, split = stage(found, INGEST), stage(found, SPLIT)
    assert (found.over_s, found.verdict) == (2.0, Verdict.BEHIND)
    assert (ingest.rows, ingest.rows_per_s, ingest.lag_bytes, ingest.eta_s) == (40, 10.0, 600, 6.0)
    assert (split.rows, split.rows_per_s, split.lag_rows, split.eta_s) == (50, 20.0, 30, 1.5)
    assert (ingest.verdict, split.verdict) == (Verdict.BEHIND, Verdict.OK)
    assert only(found) == SourceFigures("/a", Delivery.UNDER_WAY, 400, 1_000, 40.0, 40, 0, 6.0)


def test_one_look_gives_no_pace() -> None:
    found = figures(look(10.0, progress(offset=200), files={"/a": SeenFile(1_000, 800)}, partitions=partitions(90)))
    assert {each.rows_per_s for each in found.stages} == {each.eta_s for each in found.stages} == {None}
    assert found.verdict is Verdict.OK
    assert only(found).percent == 20.0


def test_sink_s_pace_is_of_its_ledgers_and_without_them_of_its_offsets() -> None:
    def seen(at_s: float, position: int, written: int | None) -> Observation:
        at = {SINK: (SeenPartition("categorized", 0, position, 500),)}
        return look(at_s, partitions=at, row_share=0.5, rows_in_files=written, rows_rejected=written and 3)

    sink = stage(figures(seen(2.0, 300, 130), seen(0.0, 100, 100)), SINK)
    assert (sink.rows, sink.rows_per_s) == (133, 15.0)
    sink = stage(figures(seen(2.0, 300, None), seen(0.0, 100, None)), SINK)
    assert (sink.rows, sink.rows_per_s) == (None, 50.0)


@pytest.mark.parametrize(("was_filling", "is_filling"), [(True, True), (True, False), (False, True)])
def test_while_a_split_is_filled_split_s_pace_is_of_its_offsets(was_filling: bool, is_filling: bool) -> None:  # noqa: FBT001
    # The main group, whose rows are counted, waits for the one that is filling.
    def seen(at_s: float, position: int, *, fills: bool) -> Observation:
        left = partitions(9_000, position=position)
        return look(at_s, partitions=left, split_rows=9_500, split_row_share=0.5, is_filling=fills)

    split = stage(figures(seen(2.0, 500, fills=is_filling), seen(0.0, 100, fills=was_filling)), SPLIT)
    assert (split.rows, split.rows_per_s, split.eta_s, split.verdict) == (9_500, 100.0, 90.0, Verdict.BEHIND)


def test_without_one_split_s_pace_is_of_the_rows_that_it_has_counted() -> None:
    before = look(partitions=partitions(9_000, position=100), split_rows=100)
    now = look(2.0, partitions=partitions(8_000, position=500), split_rows=300)
    assert stage(figures(now, before), SPLIT).rows_per_s == 100.0


@pytest.mark.parametrize(
    ("known", "end", "file", "delivery"),
    [
        (ended(), 1, None, Delivery.DELIVERED),
        (ended(ends=2), 2, SeenFile(100, 0), Delivery.DELIVERED),
        (ended(ends=2), 1, None, Delivery.UNDER_WAY),
        (ended(), 0, None, Delivery.UNDER_WAY),
        (ended(), 1, SeenFile(120, 20), Delivery.UNDER_WAY),
        (ended(), 1, SeenFile(120, None, may_wait=True), Delivery.UNDER_WAY),
        (progress(offset=5), 0, None, Delivery.UNDER_WAY),
        (ended(rows=0, rejected=4), 1, None, Delivery.REJECTED_WHOLE),
        (ended(rows=0, rejected=4), 0, None, Delivery.UNDER_WAY),
        (ended(rows=0), 1, None, Delivery.DELIVERED),
        (ended(), None, None, Delivery.UNKNOWN),
        (progress(given_up=True), 0, None, Delivery.UNKNOWN),
        (replace(ended(), format=1), 0, None, Delivery.UNKNOWN),
    ],
)
def test_a_source_is_delivered_by_the_receipt_of_its_latest_end(
    known: Progress, end: int | None, file: SeenFile | None, delivery: Delivery
) -> None:
    files = {} if file is None else {known.source: file}
    found = figures(look(0.0, known, receipts={known.source: None if end is None else SeenReceipt(end)}, files=files))
    assert only(found).delivery is delivery
    assert found.count(delivery) == 1


@pytest.mark.parametrize(
    ("known", "file", "size", "percent"),
    [
        (ended(), None, 100, 100.0),
        (ended(size=0), SeenFile(0, 0), 0, 100.0),
        (progress(offset=50), SeenFile(200, 150), 200, 25.0),
        (progress(offset=50), None, None, None),
        # A compressed file: its offset counts unpacked bytes.
        (progress(offset=50), SeenFile(20, None, may_wait=True), None, None),
        (ended(), SeenFile(20, 0), 100, 100.0),
    ],
)
def test_a_size_that_is_not_known_is_not_guessed(
    known: Progress, file: SeenFile | None, size: int | None, percent: float | None
) -> None:
    found = only(figures(look(0.0, known, files={} if file is None else {known.source: file})))
    assert (found.size, found.percent) == (size, percent)


def verdict_of(name: str, now: Observation, before: Observation) -> Verdict:
    return stage(figures(now, before), name).verdict


def test_rows_wait_and_no_replica_is_there() -> None:
    gone = {INGEST: ONE, SINK: ONE}
    found = figures(look(1.0, partitions=partitions(7), replicas=gone), look(partitions=partitions(7)))
    assert (found.verdict, stage(found, SPLIT).verdict) == (Verdict.STOPPED, Verdict.STOPPED)
    assert (
        stage(found, SPLIT).reason
        == "7 rows wait, and no replica is at work: start one, or see the log of one that runs"
    )


@pytest.mark.parametrize(
    ("rows", "is_exact", "what"),
    [
        (1, True, "a row waits"),
        (2, True, "2 rows wait"),
        (1, False, "~1 row waits"),
        (2_000, False, "~2,000 rows wait"),
    ],
)
def test_a_reason_says_whether_its_number_is_an_estimate(rows: int, what: str, *, is_exact: bool) -> None:
    waiting = {SPLIT: (SeenPartition("rows", 0, 0, 9_000, rows, is_exact),)}
    found = figures(look(1.0, partitions=waiting, replicas={}), look(partitions=waiting, replicas={}))
    assert (
        stage(found, SPLIT).reason == f"{what}, and no replica is at work: start one, or see the log of one that runs"
    )


def test_one_partition_that_stands_still_is_enough() -> None:
    before = look(partitions=partitions(5, 5), split_rows=0)
    moved = (SeenPartition("rows", 0, 5, 1_000, 3), SeenPartition("rows", 1, 0, 1_000, 5))
    for at_s, verdict, is_early in ((1.0, Verdict.OK, True), (PATIENCE_S, Verdict.STALLED, False)):
        found = figures(look(at_s, partitions={SPLIT: moved}, split_rows=5_000), before)
        assert (stage(found, SPLIT).verdict, found.is_early) == (verdict, is_early)
    assert stage(found, SPLIT).reason.startswith("8 rows wait, the first in rows-1, and nothing has moved for 5 s")


def test_a_partition_that_stands_still_beside_a_long_backlog_is_looked_at_until_it_is_stalled() -> None:
    before = look(partitions=partitions(500_000, 9_000), split_rows=0)
    still = SeenPartition("rows", 0, 0, 1_000, 500_000)
    for at_s, verdict, is_early in ((1.0, Verdict.BEHIND, True), (PATIENCE_S, Verdict.STALLED, False)):
        moved = SeenPartition("rows", 1, 5, 1_000, 8_000)
        found = figures(look(at_s, partitions={SPLIT: (still, moved)}, split_rows=round(1_000 * at_s)), before)
        assert (stage(found, SPLIT).verdict, found.is_early) == (verdict, is_early)


def test_what_came_only_since_the_look_before_does_not_stand_still() -> None:
    assert verdict_of(SPLIT, look(PATIENCE_S, partitions=partitions(5)), look(partitions=partitions(0))) is Verdict.OK


def test_an_offset_without_a_row_behind_it_waits_for_nothing() -> None:
    # As a transaction's marker leaves it: the end is beyond the position.
    marker = {SINK: (SeenPartition("categorized", 0, 9, 10, rows=0),)}
    found = figures(look(60.0, partitions=marker, replicas={}), look(partitions=marker, replicas={}))
    assert (stage(found, SINK).lag_rows, stage(found, SINK).verdict) == (0, Verdict.OK)


FILE = {"/a": SeenFile(1_000, 600)}


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (look(0.0, progress(), files=FILE), look(PATIENCE_S, progress(), files=FILE), Verdict.STALLED),
        (look(0.0, progress(), files=FILE), look(1.0, progress(), files=FILE), Verdict.OK),
        (look(0.0, progress(), files=FILE), look(PATIENCE_S, progress(offset=900), files=FILE), Verdict.OK),
        (look(0.0, progress(), files=FILE), look(PATIENCE_S, progress(offset=9), files=FILE), Verdict.BEHIND),
        # Another source goes on: this one waits for its turn.
        (
            look(0.0, progress(), files=FILE),
            look(PATIENCE_S, progress(), ended("/b", size=3_000), files=FILE),
            Verdict.OK,
        ),
        (look(), look(1.0, progress(), files=FILE, replicas={}), Verdict.STOPPED),
        # Its end has not come, and nobody knows how much there is.
        (look(), look(9.0, progress(offset=9)), Verdict.OK),
        (look(), look(9.0, progress(offset=9), replicas={}), Verdict.STOPPED),
        (look(), look(9.0, ended(), replicas={}), Verdict.OK),
        # Its ingest is in no group.
        (look(), look(9.0, progress("stdin-1", offset=9), replicas={}), Verdict.OK),
        # A finite run that was killed.
        (look(), look(9.0, runs={0: Run(0, "1", "reads")}, replicas={}), Verdict.STOPPED),
        (look(), look(9.0, progress(offset=9), runs={0: Run(0, "1", "done")}, replicas={}), Verdict.OK),
    ],
)
def test_ingest_goes_on_while_any_source_does(before: Observation, now: Observation, verdict: Verdict) -> None:
    assert verdict_of(INGEST, now, before) is verdict


def test_sources_that_are_under_way_come_first_those_begun_before_others() -> None:
    known = [ended("/a"), progress("/b"), progress("/d", offset=5), progress("/c", offset=5)]
    found = figures(look(0.0, *known, receipts={"/a": SeenReceipt(1)}))
    assert [each.source for each in found.sources] == ["/c", "/d", "/b", "/a"]


@given(st.lists(st.floats(0.01, 4), max_size=30))
def test_a_look_is_compared_with_the_youngest_that_is_old_enough(pauses_s: list[float]) -> None:
    looks: list[Observation] = []
    at_s = 0.0
    for pause_s in pauses_s:
        looks = [*recent(looks, at_s), look(at_s)]
        at_s += pause_s
    kept = recent(looks, at_s)
    assert [each for each in kept[1:] if at_s - each.at_s >= PATIENCE_S] == []
    if kept and at_s >= PATIENCE_S:
        assert at_s - kept[0].at_s >= PATIENCE_S


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4),
    st.floats(0.1, 20),
    st.integers(0, 2),
)
def test_the_lag_is_the_sum_over_all_partitions_and_0_is_ok(
    rows: list[tuple[int, int]], over_s: float, replicas: int
) -> None:
    before, after = zip(*rows, strict=True)
    there = {SPLIT: ONE * replicas}
    found = figures(
        look(over_s, partitions=partitions(*after), replicas=there),
        look(partitions=partitions(*before), replicas=there),
    )
    split = stage(found, SPLIT)
    assert split.lag_rows == sum(after)
    if not sum(after):
        assert split.verdict is Verdict.OK
    elif not replicas:
        assert split.verdict is Verdict.STOPPED
    else:
        stands = over_s >= PATIENCE_S and any(one and other for one, other in rows)
        assert (split.verdict is Verdict.STALLED) == stands
