"""A timer that finishes very many files at once."""

from contextlib import closing
from pathlib import Path

import pytest

from common.batches.record_runs import RecordRun
from common.protocol.category_keys import file_key
from services.sink.ledger.database import Ledger
from services.sink.ledger.origin import Origin
from services.sink.memory import MemoryLimits
from services.sink.partition_files import PartitionFiles
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
        """The time that the test has set."""
        return self.now


def rows(numbers: range) -> list[RecordRun]:
    return [row(file_key(SCHEMA.id, "Sex", (f"{n}",)), b"%d,%d" % (n, n)) for n in numbers]


def open_files_known(root: Path) -> int:
    with closing(Ledger(root / LEDGER)) as ledger:
        return sum(1 for _ in ledger.lengths())


@pytest.mark.timeout(300)
async def test_a_timer_finishes_very_many_files_in_portions_each_once_with_its_rows(tmp_path: Path) -> None:
    tmp_path.joinpath(".nacre").mkdir()
    clock = Clock()
    rolling = Rolling(path_rule("{split}/{category}.csv", rolls=True), Limits(idle_s=60))
    partition = PartitionFiles(
        tmp_path, LEDGER, Schemas(), rolling, clock, memory_limits=MemoryLimits(kept=KEPT * 600), due_at_once=PORTION
    )
    await partition.open(Origin("cluster"))
    for begin in range(0, CATEGORIES, PORTION):
        await partition.add(rows(range(begin, begin + PORTION)))
        await partition.begin_checkpoint(begin + PORTION)
        await partition.settle()
    await partition.finish_due()
    assert not partition.dirty
    clock.now += 60
    portions, entries_in_memory = [], 0
    before = CATEGORIES
    while before:
        await partition.finish_due()
        entries_in_memory = max(entries_in_memory, partition.entries_in_memory)
        await partition.begin_checkpoint(CATEGORIES)
        # Again while the checkpoint is under way: its files are not finished twice.
        clock.now += 1
        await partition.finish_due()
        entries_in_memory = max(entries_in_memory, partition.entries_in_memory)
        await partition.settle()
        after = open_files_known(tmp_path)
        portions.append(before - after)
        before = after
        clock.now += 1
    while not partition.at_rest:
        await partition.finish_due()
    partition.close()
    assert max(portions) <= 2 * PORTION
    assert entries_in_memory <= 2 * PORTION + KEPT
    assert {path.name: path.read_bytes() for path in tmp_path.joinpath("Sex").iterdir()} == {
        f"{n}-000001.csv": HEADER + b"%d,%d\n" % (n, n) for n in range(CATEGORIES)
    }
