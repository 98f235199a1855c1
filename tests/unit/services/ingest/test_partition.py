"""Where sources are followed to: with real files and looks, and a list in place of the topic of locations."""

import asyncio
import gzip
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from common.protocol.progress import Progress
from services.ingest import file_reader, followed_file, locating, scan
from services.ingest.files import finding
from services.ingest.files.content import is_source_file
from services.ingest.files.finding import look_at, source_name
from services.ingest.files.reading import MovedError
from services.ingest.naming.locations import FoundFile, SourceLocation, SourceLocations, home_and_number
from tests.harness.replica import Replica, Topic
from tests.harness.sources import read_to_its_end

CONTENT = b"Sex,Length\nM,1\nF,2\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Topic, "agreed", [], raising=False)
    made = tmp_path / "in"
    made.mkdir()
    return made


def read(*paths: Path) -> dict[str, Progress]:
    """The progress of sources with these files."""
    return {source_name(path): read_to_its_end(path) for path in paths}


def write(path: Path, content: bytes = CONTENT) -> Path:
    path.write_bytes(content)
    return path


async def test_a_renamed_file_is_followed_and_what_takes_its_name_is_a_source_of_its_own(folder: Path) -> None:
    replica = Replica(folder, read(write(folder / "a.csv")))
    await replica.look()
    (folder / "a.csv").rename(folder / "b.csv")
    write(folder / "a.csv", b"Sex,Length\nI,3\n")
    await replica.look(2)
    assert replica.paths == {"a.csv": "b.csv", "a.csv//2": "a.csv"}


async def test_an_unreadable_renamed_file_is_followed_and_fails_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(folder, read(write(folder / "a.csv")))
    await replica.look()
    (folder / "a.csv").rename(folder / "b.csv")

    def refuse(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(locating, "is_source_file", refuse)
    await replica.look(2)
    assert replica.paths == {"a.csv": "b.csv"}


async def test_a_new_file_with_the_inode_and_bytes_of_a_deleted_one_is_a_source_also_if_it_is_seen_empty(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(folder, read(write(folder / "a.csv")))
    await replica.look()
    # What a file system does that gives an inode again at once, and a look between the new file and its bytes.
    write(folder / "a.csv", b"")
    (folder / "a.csv").rename(folder / "b.csv")

    def ask(*of: Any) -> bool:
        write(folder / "b.csv")
        return is_source_file(*of)

    monkeypatch.setattr(locating, "is_source_file", ask)
    await replica.look(2)
    assert replica.paths == {"a.csv": "", "b.csv": "b.csv"}


async def test_a_file_renamed_between_listing_and_asking_is_no_input_of_that_look(folder: Path) -> None:
    path = write(folder / "a.csv")
    files = {source_name(path): path, "gone": folder / "gone.csv"}
    assert list(look_at(files)) == [source_name(path)]


@pytest.mark.parametrize("once", [True, False])
async def test_a_new_file_with_the_inode_of_a_deleted_one_is_a_source_in_the_same_look(
    folder: Path, *, once: bool
) -> None:
    progress = read(write(folder / "a.csv"))
    await Replica(folder, progress).look()
    # The same inode, other content.
    write(folder / "a.csv", b"Sex,Length\nI,3\nI,4\n").rename(folder / "b.csv")
    replica = Replica(folder, progress, once=once)
    await replica.look(2)
    assert replica.paths == {"a.csv": "", "b.csv": "b.csv"}
    assert not replica.is_finished()


async def test_with_once_a_file_set_free_by_a_move_is_taken_up_in_the_same_look(folder: Path) -> None:
    progress = read(write(folder / "a.csv"))
    await Replica(folder, progress).look()
    (folder / "a.csv").rename(folder / "b.csv")
    write(folder / "a.csv", b"Sex,Length\nI,3\n")
    replica = Replica(folder, progress, once=True)
    await replica.look(2)
    assert replica.paths == {"a.csv": "b.csv", "a.csv//2": "a.csv"}
    assert len(replica.sources.outcome.sources) == 2  # it is followed


async def test_a_replica_learns_what_another_gave_up_and_named_again(folder: Path) -> None:
    progress = read(write(folder / "a.csv"))
    owner, other = Replica(folder, progress), Replica(folder, {})
    await owner.look()
    await other.look()
    write(folder / "a.csv", b"Sex,Length\nI,3\nI,4\n").rename(folder / "c.csv")
    await owner.look(2)
    await other.look()
    assert other.paths == owner.paths == {"a.csv": "", "c.csv": "c.csv"}


async def test_a_file_that_was_not_begun_is_found_under_a_rotated_name_but_not_under_any(folder: Path) -> None:
    for name, expected in (("a.csv.1", "a.csv.1"), ("other", "")):
        write(folder / "a.csv")
        Topic.agreed = []
        await Replica(folder, {}).look()
        # It is renamed between two runs, unseen.
        (folder / "a.csv").rename(folder / name)
        replica = Replica(folder, {})
        await replica.scan.refresh(math.inf)
        await replica.look(3)
        assert replica.paths == {"a.csv": expected}
        (folder / name).unlink()


@pytest.mark.parametrize("name", ["a.csv.1", "other"])
async def test_a_file_that_was_not_begun_is_found_under_any_name_where_it_was_seen_to_get_it(
    folder: Path, name: str
) -> None:
    write(folder / "a.csv")
    replica = Replica(folder, {})
    await replica.look()
    (folder / "a.csv").rename(folder / name)
    await replica.look(3)
    assert replica.paths == {"a.csv": name}


async def test_files_that_were_rotated_between_two_looks_are_sources_in_their_order(folder: Path) -> None:
    write(folder / "a.csv")
    replica = Replica(folder, {})
    await replica.look()
    for turn in range(3):
        for number in range(turn, 0, -1):
            (folder / f"a.csv.{number}").rename(folder / f"a.csv.{number + 1}")
        (folder / "a.csv").rename(folder / "a.csv.1")
        write(folder / "a.csv", b"Sex,Length\nM,%d\n" % turn)
    await replica.look(2)
    assert replica.paths == {
        "a.csv": "a.csv.3",
        "a.csv//2": "a.csv.2",
        "a.csv//3": "a.csv.1",
        "a.csv//4": "a.csv",
    }


@pytest.mark.parametrize("once", [True, False])
async def test_what_took_the_name_of_a_file_is_not_read_before_it_even_if_that_is_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, once: bool
) -> None:
    write(folder / "a.csv")
    replica = Replica(folder, {})
    await replica.look()
    (folder / "a.csv").rename(folder / "a.csv.1")
    write(folder / "a.csv", b"Sex,Length\nI,3\n")
    await replica.look(2)
    # It is renamed once more between the look of another replica and its first read.
    (folder / "a.csv.1").rename(folder / "a.csv.2")
    replica = Replica(folder, {}, once=once)
    misses = [FileNotFoundError, MovedError]

    def ask(path: Path, file: str, progress: Progress) -> bool:
        if misses:
            raise misses.pop()
        return is_source_file(path, file, progress)

    monkeypatch.setattr(locating, "is_source_file", ask)
    for _ in range(4):
        await replica.scan.refresh(math.inf)
        await replica.look()
        await replica.read()
    assert not misses
    assert [
        row
        for outbox in replica.transactions.committed
        for batch in outbox.batches["rows", 0]
        for row, headers in batch.records
        if not headers
    ] == [b"M,1", b"F,2", b"I,3"]
    assert replica.rows == {"a.csv": 2, "a.csv//2": 1}


async def test_files_that_are_rotated_while_a_look_asks_for_them_are_sources_in_their_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(folder, {})
    write(folder / "a.csv", b"Sex,Length\nM,0\n")
    await replica.look()
    turns = 0
    found = finding._found  # noqa: SLF001 - where a file is renamed between the event and the question

    def rotate(path: Path) -> FoundFile | None:
        nonlocal turns
        if turns < 60 and path.name != "a.csv":
            turns += 1
            for number in range(turns, 0, -1):
                if (folder / f"a.csv.{number}").exists():
                    (folder / f"a.csv.{number}").rename(folder / f"a.csv.{number + 1}")
            (folder / "a.csv").rename(folder / "a.csv.1")
            write(folder / "a.csv", b"Sex,Length\nM,%d\n" % turns)
        return found(path)

    monkeypatch.setattr(finding, "_found", rotate)
    (folder / "a.csv").rename(folder / "a.csv.1")
    write(folder / "a.csv", b"Sex,Length\nM,-1\n")
    while turns < 60:
        await replica.look()
    await replica.look(3)
    numbers = {home_and_number(source)[1]: path for source, path in replica.paths.items()}
    assert [numbers[number] for number in sorted(numbers)] == [
        *(f"a.csv.{number}" for number in range(61, 0, -1)),
        "a.csv",
    ]


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("links", [0, 1])
async def test_a_file_that_is_renamed_behind_the_listing_of_its_folder_is_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, begun: bool, links: int
) -> None:
    path = write(folder / "a.csv")
    replica = Replica(folder, read(path) if begun else {})
    await replica.look()
    if links:
        # Another name of it in INPUT, which it keeps.
        (folder / "link.csv").hardlink_to(path)
    look_beside, renamed = finding.look_beside, False

    def rename(lost: Mapping[str, str]) -> dict[str, tuple[str, FoundFile]]:
        nonlocal renamed
        if not renamed:
            renamed = True
            path.rename(folder / "kept")
            write(path, b"Sex,Length\nI,3\n")
        return look_beside(lost)

    monkeypatch.setattr(scan, "look_beside", rename)
    await replica.scan.refresh(math.inf)
    await replica.look(3)
    assert replica.paths == {"a.csv": "link.csv" if links else "kept", "a.csv//2": "a.csv"}


@pytest.mark.parametrize("once", [True, False])
async def test_a_path_that_is_left_out_is_logged_once_and_again_when_it_comes_back(folder: Path, *, once: bool) -> None:
    write(folder / "a.csv")
    os.mkfifo(folder / "p.csv")
    (folder / "link").symlink_to(folder.parent)
    replica = Replica(folder, {}, once=once)
    with capture_logs() as logs:
        await replica.look(3)
        if not once:
            (folder / "p.csv").unlink()
            await replica.look()
            os.mkfifo(folder / "p.csv")
            await replica.look()
    logged = [Path(line["path"]).name for line in logs if line["event"] == "left out of the input"]
    assert sorted(logged) == (["link", "p.csv"] if once else ["link", "p.csv", "p.csv"])
    assert replica.paths == {"a.csv": "a.csv"}


async def test_a_file_rotated_before_any_look_in_a_folder_that_is_new(folder: Path) -> None:
    replica = Replica(folder, {})
    await replica.look()
    (folder / "deeper").mkdir()
    await replica.look()
    write(folder / "deeper" / "a.csv").rename(folder / "kept")
    await replica.look(2)
    assert replica.paths == {"deeper/a.csv": "kept"}


async def test_a_file_renamed_over_another_leaves_the_other_in_trouble_unless_it_was_read_to_its_end(
    folder: Path,
) -> None:
    write(folder / "a.csv")
    write(folder / "b.csv", CONTENT + b"I,3\n")
    write(folder / "c.csv", CONTENT + b"I,4\n")
    progress = read(*(folder / name for name in ("a.csv", "b.csv", "c.csv")))
    name = source_name(folder / "b.csv")
    progress[name] = Progress(name, offset=11)
    replica = Replica(folder, progress)
    await replica.look()
    (folder / "a.csv").rename(folder / "b.csv")
    await replica.look(4)
    assert replica.paths == {"a.csv": "b.csv", "b.csv": "", "c.csv": "c.csv"}
    [trouble] = await replica.troubles()
    assert "is another file now, and the one read to byte 11 is gone" in trouble
    (folder / "b.csv").rename(folder / "c.csv")
    await replica.look(4)
    assert replica.paths == {"a.csv": "c.csv", "b.csv": "", "c.csv": ""}
    assert not any("c.csv is another file" in each for each in await replica.troubles())


async def test_a_file_put_in_the_place_of_one_renamed_over_another_belongs_to_the_renamed_one(folder: Path) -> None:
    write(folder / "a.csv", b"")
    write(folder / "b.csv")
    replica = Replica(folder, read(folder / "b.csv"))
    await replica.look()
    (folder / "b.csv").rename(folder / "a.csv")
    await replica.look(4)
    write(folder / "a.part", CONTENT + b"I,3\n").rename(folder / "a.csv")
    await replica.look(4)
    assert replica.paths == {"a.csv": "", "b.csv": "a.csv"}


async def test_a_file_that_is_gone_is_given_up_at_the_second_look_only(folder: Path) -> None:
    path = write(folder / "a.csv")
    write(folder / "b.csv")
    replica = Replica(folder, read(path))
    await replica.look()
    away = path.rename(folder.parent / "away")
    await replica.look()
    assert replica.paths["a.csv"] == "a.csv"
    await replica.look()
    assert replica.paths["a.csv"] == ""
    [trouble] = await replica.troubles()
    assert "No such file" in trouble
    assert not await replica.troubles()
    away.rename(path)
    await replica.look(2)
    assert replica.paths["a.csv"] == "a.csv"


async def test_files_in_a_folder_that_cannot_be_looked_into_are_not_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder / "a.csv")
    replica = Replica(folder, read(path))
    await replica.look()
    path.rename(folder.parent / "away")
    monkeypatch.setattr(replica.scan, "is_blind_to", lambda path: path.startswith(str(folder)))
    await replica.look(3)
    assert replica.paths == {"a.csv": "a.csv"}


async def test_two_replicas_that_both_find_a_move_agree(folder: Path) -> None:
    progress = read(write(folder / "a.csv"))
    first, second = Replica(folder, progress), Replica(folder, progress)
    for replica in (first, second):
        await replica.look()
    (folder / "a.csv").rename(folder / "b.csv")
    for replica in (first, second):
        await replica.look(2)
    assert first.paths == second.paths == {"a.csv": "b.csv"}
    assert len(Topic.agreed) == 2


async def test_a_file_of_another_input_is_neither_followed_nor_given_up(folder: Path) -> None:
    first, second = write(folder / "a.csv"), write(folder / "b.csv")
    progress = read(first)
    await Replica(first, progress).look()
    replica = Replica(second, progress)
    await replica.look(4)
    assert replica.paths == {"a.csv": "a.csv", "b.csv": "b.csv"}
    assert len(replica.sources.outcome.sources) == 1  # only the second is followed
    renamed = first.rename(folder / "c.csv")
    replica = Replica(renamed, progress)
    await replica.look(2)
    assert replica.paths == {"a.csv": "c.csv", "b.csv": "b.csv"}
    assert len(replica.sources.outcome.sources) == 1  # only the renamed one


async def test_a_file_that_one_look_misses_keeps_its_source_also_where_another_took_its_name(
    folder: Path,
) -> None:
    path = write(folder / "a.csv")
    replica = Replica(folder, read(path))
    await replica.look()
    away = path.rename(folder.parent / "away")
    write(path, b"Sex,Length\nI,3\n")
    await replica.look()
    assert replica.paths == {"a.csv": "a.csv"}
    away.rename(folder / "b.csv")
    await replica.look(2)
    assert replica.paths == {"a.csv": "b.csv", "a.csv//2": "a.csv"}


def test_a_path_with_a_line_break_counts_its_files_as_well() -> None:
    path = "/in/a\nb.csv"
    assert home_and_number(f"{path}//2") == (path, 2)
    known = SourceLocations()
    known.put(path, SourceLocation("/in/x", "1"))
    known.put(f"{path}//2", SourceLocation("/in/y", "2"))
    assert list(known.new_sources(look_at({path: Path(__file__)}), {})) == [f"{path}//3"]


async def test_a_partition_is_finished_when_all_its_sources_are_also_those_at_rest(folder: Path) -> None:
    paths = [write(folder / "a.csv"), write(folder / "b.csv")]
    replica = Replica(folder, {})
    await replica.look()
    assert not replica.is_finished()
    await replica.read()
    assert replica.is_finished()
    for path in paths:
        with path.open("ab") as file:
            file.write(b"M,3\n")
        await replica.look()
        assert not replica.is_finished()
        await replica.read()
        assert replica.is_finished()
    away = paths[0].rename(folder.parent / "away")
    await replica.look(2)
    await replica.read()
    # It is at rest, but looked for.
    assert not replica.is_finished()
    away.rename(paths[0])
    await replica.look(2)
    await replica.read()
    assert replica.is_finished()
    assert replica.rows == {"a.csv": 3, "b.csv": 3}


async def test_rows_that_came_during_a_commit_are_committed_also_if_none_come_after_them(folder: Path) -> None:
    write(folder / "a.csv")
    replica = Replica(folder, {}, settle_s=60, commit_interval_ms=10**6)
    # As with a slow broker.
    replica.transactions.busy = True
    await replica.look()
    assert await replica.sources.take_turn(asyncio.Event())
    assert not replica.transactions.committed
    assert not await replica.sources.take_turn(asyncio.Event())
    assert replica.rows == {"a.csv": 2}


async def test_a_second_name_that_becomes_another_file_is_a_source(folder: Path) -> None:
    path = write(folder / "a.csv")
    os.link(path, folder / "b.csv")
    replica = Replica(folder, {})
    await replica.look()
    assert replica.paths == {"a.csv": "a.csv"}
    write(folder / "c").rename(folder / "b.csv")
    await replica.look()
    assert replica.paths == {"a.csv": "a.csv", "b.csv": "b.csv"}


@pytest.mark.parametrize("once", [True, False])
async def test_a_file_that_was_read_in_part_and_is_gone_is_in_trouble_also_at_the_next_start(
    folder: Path, *, once: bool
) -> None:
    path = write(folder / "a.csv")
    write(folder / "b.csv")
    await (first := Replica(folder, {})).look()
    [half] = [replace(each, ended=False) for each in read(path).values()]
    path.unlink()
    second = Replica(folder, {half.source: half}, once=once)
    await second.look(2)
    [trouble] = await second.troubles()
    assert "No such file" in trouble
    assert first.paths["a.csv"] == "a.csv"


async def test_a_rotated_file_whose_name_another_one_has_taken_outside_of_input_does_not_hold_up_its_successors(
    folder: Path,
) -> None:
    first = write(folder / "log.csv")
    replica = Replica(folder, {})
    await replica.look()
    rotated = first.rename(folder / "log.csv.1")
    second = write(folder / "log.csv")
    await replica.look()
    assert replica.paths["log.csv"] == "log.csv.1"
    # The open file keeps its inode, so that no other gets it.
    with rotated.open("rb"):
        second.rename(rotated)
        write(folder / "log.csv")
        await replica.look(3)
    await replica.read()
    assert replica.rows["log.csv//3"] == 2


async def test_packed_files_that_grow_keep_no_other_waiting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    for module in (followed_file, file_reader):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock))
    growing = [write(folder / f"{number}.csv.gz", gzip.compress(CONTENT)) for number in range(6)]
    write(folder / "last.csv.gz", gzip.compress(CONTENT))
    replica = Replica(folder, {}, settle_s=2)

    async def turn() -> dict[str, int]:
        nonlocal clock
        clock += 1
        await replica.look()
        await replica.read(1)
        return replica.rows

    for _ in range(8):
        for path in growing:
            with path.open("ab") as file:
                file.write(gzip.compress(b"M,3\n"))
        rows = await turn()
    assert rows == {path.name: 0 for path in growing} | {"last.csv.gz": 2}
    for _ in range(12):
        rows = await turn()
    assert rows == {path.name: 10 for path in growing} | {"last.csv.gz": 2}
