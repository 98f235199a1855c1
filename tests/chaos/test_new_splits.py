"""Splits that are added to a pipeline that has run, killed while they are filled: as if they had always been there."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.committed import committed
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, Pipeline, wait_until

RecordProperty = Callable[[str, object], None]

KILLS = 20 if extent.MINUTES else 6
ROWS = 1_000_000 if extent.MINUTES else 250_000
_MORE = ROWS // 10
_DEADLINE_S = 300.0
_AT_FIRST = "Sex"
_LATER = ",".join(ABALONE)


@pytest.mark.timeout(600 + 30 * KILLS)
def test_splits_that_are_killed_while_they_are_filled_have_what_they_would_have_had_from_the_start(
    bootstrap: str, make_pipeline: Callable[[str], Pipeline], tmp_path: Path, record_property: RecordProperty
) -> None:
    random = extent.random_for("new splits")
    header, *lines = ABALONE_FILE.read_bytes().splitlines(keepends=True)
    rows = (lines * ((ROWS + _MORE) // len(lines) + 1))[: ROWS + _MORE]
    source = tmp_path / "rows.csv"
    source.write_bytes(header + b"".join(rows[:ROWS]))
    pipeline = make_pipeline(bootstrap)
    run(pipeline, source, _AT_FIRST)
    with source.open("ab") as file:
        file.writelines(rows[ROWS:])
    # The others go on meanwhile.
    ingest = pipeline.start("ingest", "--once", source)
    sink = pipeline.start("sink")
    carried = []
    for _ in range(KILLS):
        end = sum(pipeline.observer.ends("categorized"))
        split = pipeline.start("split", SPLIT_BY=_LATER)
        wait_until(lambda end=end: sum(pipeline.observer.ends("categorized")) > end + 100, "more rows are sent", 60)  # type: ignore[misc]  # bound, not free
        instant = time.monotonic() + random.uniform(0, 0.15)
        wait_until(lambda instant=instant: time.monotonic() >= instant, "a random instant")  # type: ignore[misc]  # bound, not free
        split.kill()
        filling = filling_offsets(pipeline)
        assert filling, "all splits were filled before the kill"
        carried.append(max(filling))
    began = pipeline.start("split", SPLIT_BY=_LATER, EXIT_WHEN_DONE="true")
    pipeline.finish(ingest, began, deadline_s=_DEADLINE_S)
    assert sink.stop()[0] == 0
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true"), deadline_s=_DEADLINE_S)
    pipeline.check_files(expected_files(source.read_bytes(), ABALONE.values()))
    never_changed = make_pipeline(bootstrap)
    run(never_changed, source, _LATER)
    never_changed.check_files(pipeline.output_files())
    record_property("kills of split while new splits were filled", KILLS)
    record_property("rows of a pipeline that got new splits", ROWS + _MORE)
    record_property("different places at which it was killed", len(set(carried)))


def run(pipeline: Pipeline, source: Path, split_by: str) -> None:
    """Carry the source to its end."""
    services = [
        pipeline.start("ingest", "--once", source),
        pipeline.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true"),
        pipeline.start("sink", EXIT_WHEN_DONE="true"),
    ]
    pipeline.finish(*services, deadline_s=_DEADLINE_S)


def filling_offsets(pipeline: Pipeline) -> list[int]:
    """Where the splits stand that are filled, by what is committed."""
    return [group["offset"] for point in committed(pipeline) for group in point.fields.get("filling", [])]
