"""Manifest and data package: what is finished, or everything once it is final, and nothing else."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from common.errors import ServiceError
from common.protocol.output_folder import MANIFEST, PACKAGE
from services.sink.folder_proofs.seal import SealState
from services.sink.folder_proofs.writing import Folder, FolderWriter, find_unsealed
from services.sink.rolling.finished_files import GivenUpError
from tests.harness.folder import ROLLED, Run, found, ledgers, listed, make_folder, write_of
from tests.harness.partition_files import Schemas


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An output folder."""
    return make_folder(tmp_path / "out")


def check_package(root: Path) -> None:
    """The data package has what the manifest has, of the same moment."""
    package = json.loads((root / PACKAGE).read_bytes())
    assert {each["path"]: each["hash"] for each in package["resources"]} == {
        path: f"sha256:{digest}" for path, digest in listed(root).items()
    }
    assert all(each["bytes"] == (root / each["path"]).stat().st_size for each in package["resources"])
    assert (root / PACKAGE).stat().st_mtime_ns == (root / MANIFEST).stat().st_mtime_ns
    assert is_checked_by_sha256sum(root)


def is_checked_by_sha256sum(root: Path, *options: str) -> bool:
    command = ["sha256sum", "-c", "--quiet", "--strict", *options, MANIFEST]
    return subprocess.run(command, cwd=root, check=False, capture_output=True).returncode == 0


async def test_while_files_grow_it_has_those_that_are_finished(folder: Folder) -> None:
    sink = Run(folder.root, ROLLED)
    await sink.begin()
    assert await write_of(folder, is_final=False)
    assert not (folder.root / MANIFEST).exists(), "a data package has one file at least"
    await sink.add("M", "M", "M", "F")
    await sink.add("I", "I", number=1)
    assert await write_of(folder, is_final=False)
    assert listed(folder.root) == found(folder.root)
    assert list(listed(folder.root)) == ["Sex/I-000001.csv", "Sex/M-000001.csv"]
    check_package(folder.root)
    assert not await write_of(folder, is_final=True), "not everything is final"
    assert listed(folder.root) == found(folder.root)
    await sink.end()
    assert await write_of(folder, is_final=True)
    assert list(listed(folder.root)) == [f"Sex/{name}-00000{part}.csv" for name, part in ("F1", "I1", "M1", "M2")]
    check_package(folder.root)
    sink.close()


async def test_at_the_end_it_has_files_that_are_never_finished(folder: Folder) -> None:
    sink = Run(folder.root)
    await sink.begin()
    await sink.add("M", "日本", "_receipts", "%41")
    await sink.add("F", number=1)
    assert await write_of(folder, is_final=False)
    assert not (folder.root / MANIFEST).exists()
    await sink.end()
    sink.close()
    assert await write_of(folder, is_final=True)
    assert listed(folder.root) == found(folder.root)
    assert len(listed(folder.root)) == 5
    check_package(folder.root)


async def test_a_file_that_was_taken_away_stays_listed(folder: Folder) -> None:
    sink = Run(folder.root, ROLLED)
    await sink.begin()
    await sink.add("M", "M", "F", "F")
    await sink.end()
    sink.close()
    before = found(folder.root)
    (folder.root / "Sex" / "M-000001.csv").unlink()
    assert await write_of(folder, is_final=True)
    assert listed(folder.root) == before
    assert is_checked_by_sha256sum(folder.root, "--ignore-missing")
    assert not is_checked_by_sha256sum(folder.root)


async def test_a_file_that_something_else_has_changed_is_named(folder: Folder) -> None:
    sink = Run(folder.root)
    await sink.begin()
    await sink.add("M")
    await sink.end()
    sink.close()
    with (folder.root / "Sex" / "M.csv").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ServiceError, match=r"M\.csv has 16 bytes, not 15"):
        await write_of(folder, is_final=True)
    (folder.root / "Sex" / "M.csv").unlink()
    with pytest.raises(ServiceError, match=r"M\.csv has 0 bytes, not 15"):
        await write_of(folder, is_final=True)
    assert not (folder.root / MANIFEST).exists()


async def test_each_is_written_only_if_it_is_wanted_and_only_if_something_has_changed(folder: Folder) -> None:
    sink = Run(folder.root, ROLLED)
    await sink.begin()
    await sink.add("M", "M")
    writers = [FolderWriter(folder, wanted, Schemas()) for wanted in ([MANIFEST], [PACKAGE], [])]
    await writers[2].update()
    assert not any((folder.root / name).exists() for name in (MANIFEST, PACKAGE))
    await writers[0].update()
    assert not (folder.root / PACKAGE).exists()
    await writers[1].update()
    inodes = {name: (folder.root / name).stat().st_ino for name in (MANIFEST, PACKAGE)}
    for writer in writers:
        await writer.update()
    assert {name: (folder.root / name).stat().st_ino for name in inodes} == inodes
    # Also if something has removed it.
    (folder.root / MANIFEST).unlink()
    await writers[0].update()
    assert list(listed(folder.root)) == ["Sex/M-000001.csv"]
    await sink.add("F", "F", number=1)
    await writers[0].update()
    assert list(listed(folder.root)) == ["Sex/F-000001.csv", "Sex/M-000001.csv"]
    for writer in writers:
        writer.close()
    sink.close()


async def test_a_ledger_that_is_not_there_yet_has_no_files(folder: Folder) -> None:
    sink = Run(folder.root, ROLLED)
    await sink.begin()
    await sink.add("M", "M")
    later = Folder(folder.root, [*folder.ledgers, folder.root / ".nacre" / "categorized-9.ledger"], "f00", "1")
    writer = FolderWriter(later, [MANIFEST], Schemas())
    await writer.update()
    assert list(listed(folder.root)) == ["Sex/M-000001.csv"]
    writer.close()
    sink.close()


async def test_a_ledger_that_cannot_be_read_is_one_line(folder: Folder) -> None:
    ledgers(folder.root)[0].write_bytes(b"no database" * 1000)
    writer = FolderWriter(folder, [MANIFEST], Schemas())
    with pytest.raises(ServiceError, match=r"cannot be read for manifest-sha256.txt and datapackage.json: .*database"):
        await writer.update()
    writer.close()


async def test_a_stop_gives_up_what_is_under_way(folder: Folder) -> None:
    sink = Run(folder.root, ROLLED)
    await sink.begin()
    await sink.add("M", "M")
    sink.close()
    writer = FolderWriter(folder, [MANIFEST], Schemas())
    writing = asyncio.ensure_future(writer.write(is_final=False))
    await asyncio.sleep(0)
    writer.close()
    with pytest.raises(GivenUpError):
        await writing
    assert not (folder.root / MANIFEST).exists()


async def test_says_which_partition_is_not_final(folder: Folder) -> None:
    sink = Run(folder.root)
    await sink.begin()
    assert find_unsealed(folder) == ("categorized-0", SealState.OPEN)
    await sink.partitions[0].seal.seal()
    assert find_unsealed(folder) == ("categorized-1", SealState.OPEN)
    await sink.end()
    sink.close()
    assert find_unsealed(folder) is None
    # What a service fills is never final: that comes first.
    sink = Run(folder.root)
    await sink.begin()
    await sink.add("M")
    await sink.partitions[1].seal.take_up(is_finite=False)
    sink.close()
    assert find_unsealed(folder) == ("categorized-1", SealState.SERVICE)
