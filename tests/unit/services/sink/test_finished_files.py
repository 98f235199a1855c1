"""Finished files: what is in them, when they get their final names, and what a crash leaves."""

import errno
import gzip
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import zstandard

from common.batches.record_runs import Record, RecordRun
from common.errors import ConfigurationError, ServiceError
from common.protocol.category_keys import file_key
from common.protocol.identity import Formats
from common.protocol.messages import Ended, encode_control
from common.rows.tally import Tally
from services.sink.disk.errors import DiskError
from services.sink.ledger.entries import Entry, Sums
from services.sink.ledger.inventory import files_in_place, index_of
from services.sink.ledger.origin import Origin
from services.sink.partition_files import PartitionFiles
from services.sink.paths.template import path_rule
from services.sink.rolling import finished_files as finishing
from services.sink.rolling import finisher
from services.sink.rolling.limits import Limits, Rolling
from tests.harness.partition_files import LEDGER, SCHEMA, Schemas, row

HEADER = b"Sex,Length\n"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        """The time that the test has set."""
        return self.now


def rows(sex: str, *lengths: int) -> list[RecordRun | Record]:
    return [row(file_key(SCHEMA.id, "Sex", (sex,)), b"%s,%d" % (sex.encode(), length)) for length in lengths]


def end_of(source: str, parts: int) -> list[RecordRun | Record]:
    value, headers = encode_control(Ended(source, Tally(), 0, parts))
    return [Record(0, b"", value, headers)]


def rolling(limits: Limits = Limits(), suffix: str = "", *, at_end: bool = False) -> Rolling:  # noqa: B008 - it is frozen
    return Rolling(path_rule("{split}/{category}.csv", rolls=True, packed_suffix=suffix), limits, at_end)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An output folder."""
    tmp_path.joinpath(".nacre").mkdir()
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.glob("Sex/*"))}


async def checkpoint(partition: PartitionFiles, offset: int = 1) -> None:
    """Make a checkpoint, and wait until every file that is to be finished has its final name."""
    await partition.begin_checkpoint(offset)
    await partition.settle()
    while not partition.at_rest:
        await partition.finish_due()


async def test_a_full_file_is_finished_without_waiting_for_a_row(root: Path, clock: Clock) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=2)), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1, 2, 3, 4, 5) + rows("F", 1))
    assert files(root) == {
        "F-000001.csv.open": HEADER + b"F,1\n",
        "M-000001.csv.open": HEADER + b"M,1\nM,2\n",
        "M-000002.csv.open": HEADER + b"M,3\nM,4\n",
        "M-000003.csv.open": HEADER + b"M,5\n",
    }
    await checkpoint(partition)
    assert set(files(root)) == {"F-000001.csv.open", "M-000001.csv", "M-000002.csv", "M-000003.csv.open"}
    await partition.add(rows("M", 6))
    await checkpoint(partition)
    assert files(root)["M-000003.csv"] == HEADER + b"M,5\nM,6\n"
    partition.close()
    index = [(each["path"], each["rows"], each["finished"]) for each in index_of(root / LEDGER)]
    assert index == [
        ("Sex/F-000001.csv.open", 1, False),
        *((f"Sex/M-00000{part}.csv", 2, True) for part in (1, 2, 3)),
    ]


@pytest.mark.parametrize("limits", [Limits(age_s=60), Limits(idle_s=60)])
async def test_time_alone_finishes_a_file_also_one_that_a_former_sink_began(
    root: Path, clock: Clock, limits: Limits
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(limits), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1))
    await checkpoint(partition)
    partition.close()
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(limits), clock)
    await partition.open(Origin("cluster"))
    clock.now += 59
    await partition.finish_due()
    assert not partition.dirty
    clock.now += 1
    await partition.finish_due()
    await checkpoint(partition)
    assert set(files(root)) == {"M-000001.csv"}
    await partition.add(rows("M", 2))
    await checkpoint(partition)
    assert set(files(root)) == {"M-000001.csv", "M-000002.csv.open"}
    partition.close()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("limits", [Limits(age_s=60), Limits(idle_s=60)])
async def test_a_file_from_the_future_is_finished_also_before_a_clock_that_was_set_back_catches_up(
    root: Path, clock: Clock, limits: Limits, *, restarts: bool
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(limits), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1))
    await checkpoint(partition)
    clock.now -= 7200
    if restarts:
        partition.close()
        partition = PartitionFiles(root, LEDGER, Schemas(), rolling(limits), clock)
        await partition.open(Origin("cluster"))
    await partition.finish_due()
    await checkpoint(partition)
    assert set(files(root)) == {"M-000001.csv"}
    # What is begun by the right clock is finished by it.
    await partition.add(rows("M", 2))
    await checkpoint(partition)
    clock.now += 59
    await partition.finish_due()
    await checkpoint(partition)
    assert set(files(root)) == {"M-000001.csv", "M-000002.csv.open"}
    clock.now += 1
    await partition.finish_due()
    await checkpoint(partition)
    assert set(files(root)) == {"M-000001.csv", "M-000002.csv"}
    partition.close()


async def test_a_source_s_last_end_finishes_what_was_begun(root: Path, clock: Clock) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1) + end_of("/a.csv", 2))
    await checkpoint(partition)
    partition.close()
    # The number of ends seen so far outlives the process.
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock)
    await partition.open(Origin("cluster"))
    await partition.finish_due()
    assert set(files(root)) == {"M-000001.csv.open"}
    await partition.add(rows("F", 1) + end_of("/a.csv", 2))
    await partition.finish_due()
    await checkpoint(partition)
    assert set(files(root)) == {"M-000001.csv", "F-000001.csv"}
    partition.close()


async def test_an_end_finishes_more_files_than_are_finished_at_once_also_where_the_sink_dies_in_between(
    root: Path, clock: Clock
) -> None:
    def opened() -> PartitionFiles:
        return PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock, due_at_once=2)

    partition = opened()
    await partition.open(Origin("cluster"))
    names = ("A", "B", "C", "D", "E")
    await partition.add([each for name in names for each in rows(name, 1)])
    await partition.begin_checkpoint(5)
    await partition.settle()
    await partition.add(end_of("/a.csv", 1))
    await partition.finish_due()
    await partition.begin_checkpoint(6)
    await partition.settle()
    partition.close()
    assert len([name for name in files(root) if name.endswith(".open")]) >= 3
    # The end does not come again.
    partition = opened()
    assert await partition.open(Origin("cluster")) == 6
    while not partition.at_rest:
        await partition.finish_due()
        await partition.begin_checkpoint(6)
        await partition.settle()
    assert set(files(root)) == {f"{name}-000001.csv" for name in names}
    # Nor does it finish what is begun after it, whatever the clock says.
    clock.now -= 3600
    await partition.add(rows("A", 2))
    await checkpoint(partition, 7)
    partition.close()
    partition = opened()
    await partition.open(Origin("cluster"))
    await partition.finish_due()
    await checkpoint(partition, 7)
    partition.close()
    assert set(files(root)) - {f"{name}-000001.csv" for name in names} == {"A-000002.csv.open"}


async def test_an_end_finishes_nothing_that_is_begun_after_it_while_the_clock_is_set_back(
    root: Path, clock: Clock
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1))
    await checkpoint(partition)
    clock.now -= 3600
    await partition.add(rows("F", 1) + end_of("/a.csv", 1))
    # Rows keep coming: there is always a file that was begun by the time of the end, as the clock has it.
    for number in range(20):
        await add_and_checkpoint(partition, "M", number)
    assert set(files(root)) == {"F-000001.csv", "M-000001.csv", "M-000002.csv.open"}
    # Those are for the next end.
    await partition.add(end_of("/b.csv", 1))
    await partition.finish_due()
    await checkpoint(partition)
    partition.close()
    assert set(files(root)) == {"F-000001.csv", "M-000001.csv", "M-000002.csv"}


async def test_nor_does_an_end_that_was_left_to_the_next_start(root: Path, clock: Clock) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1))
    await checkpoint(partition)
    clock.now -= 3600
    await partition.add(end_of("/a.csv", 1))
    await partition.begin_checkpoint(2)
    await partition.settle()
    # Killed before it looked for the files that the end has left to be finished.
    partition.close()
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock)
    await partition.open(Origin("cluster"))
    for number in range(20):
        await add_and_checkpoint(partition, "M", number)
    partition.close()
    assert set(files(root)) == {"M-000001.csv", "M-000002.csv.open"}


async def test_an_end_is_over_although_more_files_are_begun_meanwhile_than_are_finished_at_once(
    root: Path, clock: Clock
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock, due_at_once=2)
    await partition.open(Origin("cluster"))
    names = [f"A{number}" for number in range(5)]
    await partition.add([each for name in names for each in rows(name, 1)])
    await checkpoint(partition)
    clock.now -= 3600
    await partition.add(end_of("/a.csv", 1))
    later = [f"0{number}" for number in range(5)]
    await partition.add([each for name in later for each in rows(name, 1)])
    while not partition.at_rest:
        await partition.finish_due()
        await partition.begin_checkpoint(2)
        await partition.settle()
    partition.close()
    assert set(files(root)) == {f"{name}-000001.csv" for name in names} | {f"{name}-000001.csv.open" for name in later}


async def add_and_checkpoint(partition: PartitionFiles, name: str, number: int) -> None:
    """One round of a sink under load: rows come, files that are due are looked for, a checkpoint ends."""
    await partition.add(rows(name, number))
    await partition.finish_due()
    await partition.begin_checkpoint(number)
    await partition.settle()


@pytest.mark.parametrize(
    ("suffix", "unpack"),
    [(".gz", gzip.decompress), (".zst", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data))],
)
async def test_a_finished_file_is_packed(
    root: Path, clock: Clock, suffix: str, unpack: Callable[[bytes], bytes]
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=3), suffix), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1, 2, 3))
    await checkpoint(partition)
    partition.close()
    assert {name: unpack(data) for name, data in files(root).items()} == {
        f"M-000001.csv{suffix}": HEADER + b"M,1\nM,2\nM,3\n"
    }
    assert sums_in_ledger(root) == {name: sums(data) for name, data in files(root).items()}


@pytest.mark.parametrize("suffix", ["", ".gz"])
async def test_in_format_1_a_ledger_has_no_sums(root: Path, clock: Clock, suffix: str) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1), suffix), clock, formats=Formats(1, 1))
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1, 2))
    await checkpoint(partition)
    partition.close()
    assert set(files(root)) == {f"M-000001.csv{suffix}", f"M-000002.csv{suffix}"}
    with closing(sqlite3.connect(root / LEDGER)) as ledger:
        assert ledger.execute("PRAGMA user_version").fetchone() == (3,)
        assert [name for _, name, *_ in ledger.execute("PRAGMA table_info(finished)")][-1] == "in_place"


def take_away(root: Path, pattern: str) -> dict[str, bytes]:
    taken = {}
    for path in root.glob(pattern):
        taken[path.name] = path.read_bytes()
        path.unlink()
    return taken


class Crashed(BaseException):
    """The process has crashed."""


@contextmanager
def crashing(monkeypatch: pytest.MonkeyPatch, at: int) -> Iterator[None]:
    """Let only the first `at` calls happen that change names or make them durable."""
    calls = 0

    def mortal(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > at:
                raise Crashed
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "rename", "unlink"):
            patch.setattr(os, name, mortal(name))
        yield


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("at", range(20))
async def test_a_crash_at_any_system_call_leaves_the_same_files_in_the_end(
    root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, suffix: str, at: int
) -> None:
    """Each call that changes names or makes them durable fails in turn, and so do all calls after it.

    The files that are finished by then are taken away, and must not come a second time.
    """
    settings = rolling(Limits(rows=2), suffix)
    partition = PartitionFiles(root, LEDGER, Schemas(), settings, clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1))
    await checkpoint(partition, 1)
    with crashing(monkeypatch, at):
        with suppress(Crashed):
            await partition.add(rows("M", 2, 3, 4) + rows("F", 5))
            await checkpoint(partition, 5)
        partition.close()
    taken = take_away(root, f"Sex/*.csv{suffix}")
    partition = PartitionFiles(root, LEDGER, Schemas(), settings, clock)
    known = await partition.open(Origin("cluster"))
    again = rows("M", 2, 3, 4) + rows("F", 5) if known == 1 else []
    await partition.add(again)
    await checkpoint(partition, 5)
    partition.close()
    unpack = gzip.decompress if suffix else bytes
    left = files(root)
    assert not taken.keys() & left.keys()
    found = {name: data if name.endswith(".open") else unpack(data) for name, data in (taken | left).items()}
    assert found == {
        f"M-000001.csv{suffix}": HEADER + b"M,1\nM,2\n",
        f"M-000002.csv{suffix}": HEADER + b"M,3\nM,4\n",
        "F-000001.csv.open": HEADER + b"F,5\n",
    }
    # The ledger knows the sums of all of them, also of those that were taken away at once.
    finished_files = {name: data for name, data in (taken | left).items() if not name.endswith(".open")}
    assert sums_in_ledger(root) == {name: sums(data) for name, data in finished_files.items()}


def sums(data: bytes) -> Sums:
    return Sums(len(data), sha256(data).hexdigest())


def sums_in_ledger(root: Path) -> dict[str, Sums]:
    return {path.removeprefix("Sex/"): found for _, path, found in files_in_place(root / LEDGER)}


@pytest.mark.parametrize(("suffix", "at"), [("", at) for at in range(9)] + [(".gz", at) for at in range(16)])
async def test_a_stop_at_any_system_call_leaves_a_finished_file_once_and_no_half_of_it(
    root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, suffix: str, at: int
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1), suffix), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1, 2) + rows("F", 3))
    calls = 0

    def stopping(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > at:
                # As close() does, which then waits for this thread.
                partition.give_up()
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "rename", "unlink"):
            patch.setattr(os, name, stopping(name))
        await checkpoint(partition, 3)
        partition.close()
    assert calls > at
    stems = ["F-000001.csv", "M-000001.csv", "M-000002.csv"]
    found = list(files(root))
    assert len(found) == len(stems)
    assert all(name in {f"{stem}.open", f"{stem}{suffix}"} for name, stem in zip(found, stems, strict=True))


@pytest.mark.parametrize("at", range(16))
async def test_a_stop_right_after_a_crash_leaves_no_half_of_a_file(
    root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1), ".gz"), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1, 2))
    with crashing(monkeypatch, at):
        with suppress(Crashed):
            await checkpoint(partition, 2)
        partition.close()
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1), ".gz"), clock)
    # As close() does, before the thread begins to work.
    partition.give_up()
    await partition.open(Origin("cluster"))
    partition.close()
    assert {name.removesuffix(".open").removesuffix(".gz") for name in files(root)} == {"M-000001.csv", "M-000002.csv"}
    assert len(files(root)) == 2


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("fails", ["first", "second", "folder", "remove"])
def test_packing_that_fails_leaves_no_copy_that_takes_the_room_for_the_next_start(
    root: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, fails: str
) -> None:
    root.joinpath("Sex").mkdir()
    entries = []
    for number, name in enumerate(("first", "second"), start=1):
        root.joinpath("Sex", f"{name}.csv.open").write_bytes(HEADER)
        path, final = f"Sex/{name}.csv.open", f"Sex/{name}.csv{suffix}"
        entries.append(Entry(b"key", path, len(HEADER), part=number, final=final))
    originals = files(root)
    sync, remove = os.fsync, os.unlink
    full_at = {"first": 1, "second": 2, "folder": 3, "remove": 3}[fails]
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    def refused(path: str, *, dir_fd: int) -> None:
        if fails == "remove" and path.startswith("first"):
            raise OSError(errno.EIO, "Input/output error")
        remove(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(DiskError, match="No space left on device"):
        finishing.prepare(root, entries, lambda: False, keeps_sums=True)
    left = set(files(root)) - set(originals)
    # A copy that cannot be removed hides neither the error nor the others.
    assert left == ({f"first.csv{suffix}.tmp"} if fails == "remove" else set())
    assert {name: data for name, data in files(root).items() if name in originals} == originals


async def test_a_finished_file_may_be_taken_away(root: Path, clock: Clock) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1)), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1))
    await checkpoint(partition)
    partition.close()
    root.joinpath("Sex", "M-000001.csv").unlink()
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1)), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 2))
    await checkpoint(partition)
    partition.close()
    assert files(root) == {"M-000002.csv": HEADER + b"M,2\n"}


async def test_a_folder_of_another_template_is_refused(root: Path, clock: Clock) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1)), clock)
    await partition.open(Origin("cluster"))
    partition.close()
    partition = PartitionFiles(root, LEDGER, Schemas())
    with pytest.raises(
        ConfigurationError, match=r"holds files named by PATH_TEMPLATE \{split\}/\{category\}-\{part\}\.csv"
    ):
        await partition.open(Origin("cluster"))
    partition.close()


async def test_somebody_else_s_file_with_a_finished_file_s_name_is_not_touched(root: Path, clock: Clock) -> None:
    root.joinpath("Sex").mkdir()
    root.joinpath("Sex", "M-000001.csv").write_bytes(b"theirs")
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1)), clock)
    await partition.open(Origin("cluster"))
    with pytest.raises(ServiceError, match="not this pipeline's"):
        await partition.add(rows("M", 1))
    partition.close()
    assert files(root) == {"M-000001.csv": b"theirs"}


@pytest.mark.parametrize("all_sources", [True, False])
async def test_what_was_begun_is_finished_at_an_end_also_where_the_clock_was_set_back(
    root: Path, clock: Clock, *, all_sources: bool
) -> None:
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("M", 1))
    await checkpoint(partition)
    partition.close()
    clock.now -= 3600
    partition = PartitionFiles(root, LEDGER, Schemas(), rolling(at_end=True), clock)
    await partition.open(Origin("cluster"))
    await partition.add(rows("F", 1))
    if all_sources:
        partition.end()
    else:
        await partition.add(end_of("a", 1))
    while not partition.at_rest:
        await partition.finish_due()
        await checkpoint(partition)
    assert set(files(root)) == {"F-000001.csv", "M-000001.csv"}
    # Later rows go into another file, which is not finished before its own end.
    await partition.add(rows("M", 2))
    await checkpoint(partition)
    assert "M-000002.csv.open" in files(root)
    partition.close()


async def test_files_are_packed_in_the_end_also_where_no_sink_lives_to_pack_many(
    root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    files_of_a_life, packed = 10, 0

    def prepare(
        root: Path, entries: Sequence[Entry], given_up: Callable[[], bool], *, keeps_sums: bool
    ) -> dict[Entry, Sums | None] | None:
        nonlocal packed
        packed += len(entries)
        if packed > files_of_a_life:
            raise KilledError
        return finishing.prepare(root, entries, given_up, keeps_sums=keeps_sums)

    monkeypatch.setattr(finisher, "prepare", prepare)
    offset, lives, count = 0, 0, 60
    while lives == 0 or any(name.endswith(".open") for name in files(root)):
        packed, lives = 0, lives + 1
        partition = PartitionFiles(root, LEDGER, Schemas(), rolling(Limits(rows=1), ".gz"), clock)
        await partition.open(Origin("cluster"))
        with suppress(KilledError):
            if lives == 1:
                await partition.add(rows("M", *range(count)))
            offset += 1
            await checkpoint(partition, offset)
        with suppress(KilledError):
            partition.close()
        assert lives < count
    assert len(files(root)) == count


class KilledError(Exception):
    """The sink was killed."""
