"""Kill -9 while sink, with more categories than it keeps in memory, forgets them and looks them up again."""

import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.pipeline import Pipeline

CATEGORIES = 2_000
KILLS = extent.count(4, 40)
ROWS_PER_LIFE = 15_000
HEADER = b"Category,Number\n"


def make_rows(chance: random.Random, count: int) -> list[bytes]:
    """Rows of few and of many categories by turns, so that some are kept and others forgotten."""
    rows = []
    for number in range(count):
        category = chance.randrange(20) if chance.random() < 0.2 else chance.randrange(CATEGORIES)
        rows.append(b"c%d,%d\n" % (category, number))
    return rows


def append(path: Path, rows: list[bytes]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(rows))


def size_of(rows: list[bytes]) -> int:
    return sum(map(len, rows))


@pytest.mark.timeout(120 + 15 * KILLS)
def test_a_sink_that_is_killed_while_it_forgets_entries_loses_and_repeats_nothing(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = extent.random_for("forgetting")
    source, forgotten = tmp_path / "rows.csv", tmp_path / "forgotten"
    lives = [make_rows(chance, ROWS_PER_LIFE) for _ in range(KILLS + 1)]
    source.write_bytes(HEADER)
    expected: defaultdict[str, list[bytes]] = defaultdict(lambda: [HEADER])
    for row in chain.from_iterable(lives):
        expected[f"Category/{row.partition(b',')[0].decode()}.csv"].append(row)
    content = {path: b"".join(lines) for path, lines in expected.items()}
    settings = {"PARTITIONS": "2", "CHECKPOINT_INTERVAL_MS": "100"}
    pipeline.start("ingest", source, **settings)
    pipeline.start("split", SPLIT_BY="Category", **settings)
    start_forgetful = partial(
        pipeline.start_under, "tests.harness.chaos.small_memory", "sink", FORGOTTEN=str(forgotten), **settings
    )
    sink = start_forgetful()
    size = 0
    for rows in lives[:-1]:
        # Each life has rows of its own to write, however fast it is, and dies with some of them in its files.
        append(source, rows)
        size += size_of(rows)
        target = size - size_of(rows) * chance.random()
        pipeline.wait_until(lambda target=target: pipeline.output_size() >= target, "more rows are written", 60)  # type: ignore[misc]
        sink.kill()
        sink = start_forgetful()
    append(source, lives[-1])
    # The one before may have written all but these, so the size alone does not say that this one hears a signal.
    pipeline.wait_for_event(sink, "ready")
    pipeline.wait_for_size(sum(map(len, content.values())))
    assert sink.stop()[0] == 0
    pipeline.check_files(content)
    lost = [int(line) for line in forgotten.read_text().split()]
    record_property("forgetting: kills", KILLS)
    record_property("forgetting: checkpoints that made memory lose entries", len(lost))
    record_property("forgetting: entries lost from memory", sum(lost))
    # The last life alone writes to each category, and keeps some hundred of them.
    assert sum(lost) > CATEGORIES / 2
