"""A timer that comes for very many files at once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from common.batches.record_runs import RecordRun
from common.protocol.messages import category_key
from services.sink.ledger import entries
from services.sink.ledger.origin import Origin
from services.sink.partition_files import Shelf
from services.sink.paths.template import path_rule
from services.sink.rolling.limits import Limits, Rolling
from tests.harness.partition_files import LEDGER, SCHEMA, Schemas, row

CATEGORIES = 4_000
PORTION = 400
KEPT = 200
HEADER = b"Sex,Length\n"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        """Tell the time that the test has set."""
        return self.now


def rows(numbers: range) -> list[RecordRun]:
    return [row(category_key(SCHEMA.id, "Sex", (f"{n}",)), b"%d,%d" % (n, n)) for n in numbers]


def open_files_known(root: Path) -> int:
    with closing(sqlite3.connect(root / LEDGER)) as database:
        [(count,)] = database.execute("SELECT count(*) FROM files")
    return int(count)


@pytest.mark.timeout(300)
async def test_a_timer_finishes_very_many_files_in_portions_each_once_with_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sink.partition_files._MAX_DUE", PORTION)
    monkeypatch.setattr(entries, "MAX_KEPT_BYTES", KEPT * 600)
    tmp_path.joinpath(".nacre").mkdir()
    clock = Clock()
    rolling = Rolling(path_rule("{split}/{category}.csv", rolls=True), Limits(idle_s=60))
    shelf = Shelf(tmp_path, LEDGER, Schemas(), rolling, clock)
    await shelf.open(Origin("cluster"))
    for begin in range(0, CATEGORIES, PORTION):
        await shelf.add(rows(range(begin, begin + PORTION)))
        await shelf.begin_checkpoint(begin + PORTION)
        await shelf.settle()
    await shelf.finish_due()
    assert not shelf.dirty
    clock.now += 60
    portions, entries_in_memory = [], 0
    before = CATEGORIES
    while before:
        await shelf.finish_due()
        entries_in_memory = max(entries_in_memory, shelf.entries_in_memory)
        await shelf.begin_checkpoint(CATEGORIES)
        # Once more while that is under way: what it has is not finished twice.
        clock.now += 1
        await shelf.finish_due()
        entries_in_memory = max(entries_in_memory, shelf.entries_in_memory)
        await shelf.settle()
        after = open_files_known(tmp_path)
        portions.append(before - after)
        before = after
        clock.now += 1
    while not shelf.at_rest:
        await shelf.finish_due()
    shelf.close()
    assert max(portions) <= 2 * PORTION
    assert entries_in_memory <= 2 * PORTION + KEPT
    assert {path.name: path.read_bytes() for path in tmp_path.joinpath("Sex").iterdir()} == {
        f"{n}-000001.csv": HEADER + b"%d,%d\n" % (n, n) for n in range(CATEGORIES)
    }
