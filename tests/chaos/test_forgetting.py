"""Kill -9 while sink, with more categories than it keeps in memory, forgets them and looks them up again."""

import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.pipeline import Pipeline

CATEGORIES = 2_000
KILLS = extent.count(4, 40)
ROWS_PER_KILL = 15_000
HEADER = b"Category,Number\n"


def make_rows(chance: random.Random, count: int) -> list[bytes]:
    """Rows of few and of many categories by turns, so that some are kept and others forgotten."""
    rows = []
    for number in range(count):
        category = chance.randrange(20) if chance.random() < 0.2 else chance.randrange(CATEGORIES)
        rows.append(b"c%d,%d\n" % (category, number))
    return rows


@pytest.mark.timeout(120 + 15 * KILLS)
def test_a_sink_that_is_killed_while_it_forgets_entries_loses_and_repeats_nothing(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = extent.random_for("forgetting")
    source, forgotten = tmp_path / "rows.csv", tmp_path / "forgotten"
    rows = make_rows(chance, ROWS_PER_KILL * KILLS)
    source.write_bytes(HEADER + b"".join(rows))
    expected: defaultdict[str, list[bytes]] = defaultdict(lambda: [HEADER])
    for row in rows:
        expected[f"Category/{row.partition(b',')[0].decode()}.csv"].append(row)
    content = {path: b"".join(lines) for path, lines in expected.items()}
    size = sum(map(len, content.values()))
    settings = {"PARTITIONS": "2", "CHECKPOINT_INTERVAL_MS": "100"}
    pipeline.start("ingest", source, **settings)
    pipeline.start("split", SPLIT_BY="Category", **settings)
    start_forgetful = partial(
        pipeline.start_under, "tests.harness.chaos.small_memory", "sink", FORGOTTEN=str(forgotten), **settings
    )
    sink = start_forgetful()
    for number in range(KILLS):
        # Behind so many bytes: that is at any instant, and never when all is done.
        target = size * (number + chance.random()) / (KILLS + 1)
        pipeline.wait_until(lambda target=target: pipeline.output_size() >= target, "more rows are written", 60)  # type: ignore[misc]
        sink.kill()
        sink = start_forgetful()
    # The one before may have written all, so the size alone does not say that this one hears a signal.
    pipeline.wait_for_event(sink, "ready")
    pipeline.wait_for_size(size)
    assert sink.stop()[0] == 0
    pipeline.check_files(content)
    lost = [int(line) for line in forgotten.read_text().split()]
    record_property("forgetting: kills", KILLS)
    record_property("forgetting: checkpoints that made memory lose entries", len(lost))
    record_property("forgetting: entries lost from memory", sum(lost))
    assert sum(lost) > CATEGORIES
