"""The files of a partition in a folder of their own, without Kafka."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from common.batches.record_runs import RecordRun
from common.errors import ServiceError
from common.protocol.category_keys import file_key
from services.sink.disk.errors import DiskError, FolderReplacedError
from services.sink.disk.open_files import MAX_OPEN_FILES
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes, Entry
from services.sink.ledger.inventory import facts_of
from services.sink.ledger.origin import Origin
from services.sink.memory import MemoryLimits, estimate_bytes
from services.sink.partition_files import PartitionFiles
from services.sink.paths.template import DEFAULT_RULE
from tests.harness.partition_files import LEDGER, SCHEMA, Schemas, row

ROOM = 20


def rows(numbers: Sequence[int], value: bytes) -> list[RecordRun]:
    return [row(file_key(SCHEMA.id, "Sex", (f"{number}",)), b"%d,%s" % (number, value)) for number in numbers]


SIZE = estimate_bytes(Entry(file_key(SCHEMA.id, "Sex", ("10",)), "Sex/10.csv"))
FEW = MemoryLimits(ROOM * SIZE, ROOM * SIZE)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output folder on a disk that syncs at once."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    tmp_path.joinpath(".nacre").mkdir()
    return tmp_path


@contextmanager
def open_partition(root: Path) -> Iterator[PartitionFiles]:
    partition = PartitionFiles(root, LEDGER, Schemas(), memory_limits=FEW)
    try:
        yield partition
    finally:
        partition.close()


def contents(root: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in root.joinpath("Sex").iterdir()}


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def test_many_files_take_little_memory_and_few_descriptors(root: Path) -> None:
    count = 10 * ROOM
    before = open_descriptors()
    with open_partition(root) as partition:
        assert await partition.open(Origin("cluster")) is None
        for turn in range(3):
            for first in range(0, count, 10):
                await partition.add(rows(range(first, first + 10), b"%d" % turn))
                if partition.full:
                    await partition.begin_checkpoint(first)
                # The entries that changed, those on their way into the ledger, and those that are kept.
                assert partition.entries_in_memory <= 3 * ROOM + 20
                # A ledger takes three descriptors.
                assert open_descriptors() <= before + MAX_OPEN_FILES + 16
        await partition.begin_checkpoint(count)
        await partition.settle()
        assert partition.entries_in_memory <= ROOM
    expected = {f"{n}": b"Sex,Length\n%d,0\n%d,1\n%d,2\n" % (n, n, n) for n in range(count)}
    assert contents(root) == expected
    ledger = Ledger(root / LEDGER)
    assert dict(ledger.lengths()) == {f"Sex/{name}.csv": len(content) for name, content in expected.items()}
    entries = ledger.find([file_key(SCHEMA.id, "Sex", (f"{number}",)) for number in range(count)]).values()
    checksums = {entry.path: entry.checksum for entry in entries}
    assert checksums == {f"Sex/{name}.csv": crc32(content) for name, content in expected.items()}
    ledger.close()


async def test_what_no_checkpoint_knows_is_cut_off_by_the_next_start(root: Path) -> None:
    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        await partition.add(rows(range(100), b"a"))
        await partition.begin_checkpoint(100)
        await partition.settle()
        known = contents(root)
        # Some of these files are no longer in memory, some are new.
        await partition.add(rows(range(50, 150), b"b"))
    assert contents(root) != known
    with open_partition(root) as partition:
        assert await partition.open(Origin("cluster")) == 100
        assert contents(root) == known | {f"{number}": b"" for number in range(100, 150)}
        await partition.add(rows(range(50, 150), b"b"))
        await partition.begin_checkpoint(200)
        await partition.settle()
    lines = {n: (b"%d,a\n" % n if n < 100 else b"") + (b"%d,b\n" % n if n >= 50 else b"") for n in range(150)}
    assert contents(root) == {f"{number}": b"Sex,Length\n" + line for number, line in lines.items()}


async def test_a_checkpoint_that_fails_leaves_the_ledger_as_it_was(root: Path) -> None:
    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        await partition.add(rows(range(30), b"a"))
        root.joinpath("Sex", "29.csv").unlink()
        await partition.begin_checkpoint(30)
        with pytest.raises(OSError, match=r"cannot write .*/Sex/29\.csv: No such file"):
            await partition.settle()
    with open_partition(root) as partition:
        assert await partition.open(Origin("cluster")) is None
        assert set(contents(root).values()) == {b""}


async def test_files_that_are_closed_give_their_checkpoint_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), memory_limits=FEW)
    await partition.open(Origin("cluster"))
    await partition.add(rows(range(30), b"a"))
    # As if the files were closed during the first sync.
    monkeypatch.setattr(os, "fsync", lambda _: partition.give_up())
    await partition.begin_checkpoint(30)
    partition.close()
    monkeypatch.setattr(os, "fsync", lambda _: None)
    with open_partition(root) as partition:
        assert await partition.open(Origin("cluster")) is None


async def test_a_look_up_does_not_wait_for_a_checkpoint(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        await partition.add(rows(range(100), b"a"))
        await partition.begin_checkpoint(100)
        await partition.settle()
        held = threading.Event()
        monkeypatch.setattr(os, "fsync", lambda _: held.wait())
        await partition.add(rows(range(1), b"b"))
        await partition.begin_checkpoint(101)
        try:
            await partition.add(rows(range(200), b"c"))
            assert partition.checkpoint.busy
        finally:
            held.set()
        await partition.settle()
    assert contents(root)["0"] == b"Sex,Length\n0,a\n0,b\n0,c\n"


@pytest.mark.parametrize(
    ("change", "reason"), [(os.unlink, "No such file"), (lambda path: os.truncate(path, 5), "5 bytes")]
)
async def test_a_file_that_something_else_changed_gets_no_hole(
    root: Path, change: Callable[[Path], None], reason: str
) -> None:
    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        await partition.add(rows(range(MAX_OPEN_FILES + 1), b"a"))
        # The first file's descriptor is closed by now.
        path = root / "Sex" / "0.csv"
        change(path)
        with pytest.raises((DiskError, ServiceError), match=rf"{path}.* {reason}"):
            await partition.add(rows([0], b"b"))
        assert not path.exists() or path.stat().st_size == 5


async def test_a_ledger_that_names_a_path_outside_is_refused(root: Path) -> None:
    ledger = Ledger(root / LEDGER)
    ledger.commit({"cluster": "cluster", "path_template": DEFAULT_RULE.name}, Changes([Entry(b"k", "../outside.csv")]))
    ledger.close()
    outside = root.parent / "outside.csv"
    outside.write_bytes(b"theirs")
    with open_partition(root) as partition, pytest.raises(ServiceError, match="leaves OUTPUT_DIR"):
        await partition.open(Origin("cluster"))
    assert outside.read_bytes() == b"theirs"


async def test_a_ledger_at_rest_is_whole_without_its_log_so_that_closing_it_waits_for_no_disk(root: Path) -> None:
    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        await partition.add(rows(range(3), b"1"))
        await partition.begin_checkpoint(3)
        await partition.settle()
        await partition.rest()
        shutil.copyfile(root / LEDGER, root / "alone")
    with closing(sqlite3.connect(root / "alone")) as alone:
        assert dict(alone.execute("SELECT name, value FROM partition")).items() >= {
            ("next_offset", "3"),
            ("files", "like the ledger"),
        }


async def test_the_ledger_says_as_long_as_files_may_be_longer_than_it_knows(root: Path) -> None:
    def how() -> str | None:
        return facts_of(root / LEDGER).get("files")

    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        assert how() is None
        await partition.add(rows(range(3), b"1"))
        assert how() == "appended to"
    # As it was left: by a kill, a failure, or a deadline that passed.
    assert how() == "appended to"
    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        await partition.add(rows(range(3), b"1"))
        await partition.begin_checkpoint(3)
        await partition.settle()
        assert how() == "appended to"
        await partition.rest()
        assert how() == "like the ledger"
    with open_partition(root) as partition:
        await partition.open(Origin("cluster"))
        await partition.rest()
        assert how() == "like the ledger"
        await partition.add(rows(range(3), b"2"))
        assert how() == "appended to"
    assert how() == "appended to"


@pytest.mark.parametrize("files", [1, 40])
async def test_a_folder_that_replaces_the_output_folder_gets_no_files_of_its_ledger(root: Path, files: int) -> None:
    out = root / "out"
    out.joinpath(".nacre").mkdir(parents=True)
    with open_partition(out) as partition:
        await partition.open(Origin("cluster"))
        await partition.add(rows(range(files), b"x"))
        out.rename(root / "before")
        out.mkdir()
        # The session ends, and the next one begins in the new folder. It would refuse a file that no ledger there has.
        with pytest.raises(FolderReplacedError, match=r"OUTPUT_DIR=.*out was replaced by another folder"):
            await partition.add(rows(range(files, 2 * files), b"x"))
    assert not list(out.iterdir())
    assert len(contents(root / "before")) == files


async def test_nor_if_it_is_replaced_while_new_files_are_entered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = root / "out"
    out.joinpath(".nacre").mkdir(parents=True)
    with open_partition(out) as partition:
        await partition.open(Origin("cluster"))
        commit = Ledger.commit

        def commit_and_replace(*arguments: Any) -> object:
            committed = commit(*arguments)
            if not root.joinpath("before").exists():
                out.rename(root / "before")
                out.mkdir()
            return committed

        await partition.add(rows([0], b"x"))
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "commit", commit_and_replace)
            # More folders than are kept open.
            keys = [file_key(SCHEMA.id, f"split {number}", ("M",)) for number in range(ROOM)]
            await partition.add([row(key, b"1,x") for key in keys])
    assert not list(out.iterdir())
    assert len(list(root.joinpath("before").rglob("*.csv"))) == ROOM + 1
