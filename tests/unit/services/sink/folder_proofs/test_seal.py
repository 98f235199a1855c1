"""A partition is sealed when all of it is final, and what was written of its files is taken back before it changes."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.protocol.output_folder import OF_THE_FOLDER
from services.sink.folder_proofs.seal import SealState, seal_state_of
from services.sink.folder_proofs.writing import Folder
from tests.harness.folder import ROLLED, Run, found, ledgers, listed, make_folder, write_of
from tests.harness.system_calls import at_call


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An output folder."""
    return make_folder(tmp_path / "out")


async def run(root: Path, *categories: str, **how: Any) -> None:
    """A whole run that appends a row of each category to the first partition."""
    sink = Run(root, **how)
    try:
        await sink.begin()
        if categories:
            await sink.add(*categories)
        await sink.end()
    finally:
        sink.close()


def states(root: Path) -> list[SealState]:
    return [seal_state_of(ledger) for ledger in ledgers(root)]


def mark(root: Path) -> None:
    """Write all that is written of a folder."""
    for name in OF_THE_FOLDER:
        (root / name).touch()


def left(root: Path) -> set[str]:
    return {name for name in OF_THE_FOLDER if (root / name).exists()}


async def test_a_run_that_adds_nothing_leaves_what_is_written_of_the_folder(folder: Folder) -> None:
    await run(folder.root, "M")
    assert states(folder.root) == [SealState.SEALED] * 2
    mark(folder.root)
    sink = Run(folder.root)
    await sink.begin()
    assert states(folder.root) == [SealState.SEALED] * 2
    assert left(folder.root) == set(OF_THE_FOLDER)
    # Only what changes is opened.
    await sink.add("M")
    sink.close()
    assert states(folder.root) == [SealState.OPEN, SealState.SEALED]
    assert left(folder.root) == set()


async def test_a_service_takes_back_what_is_written_at_once(folder: Folder) -> None:
    await run(folder.root, "M")
    mark(folder.root)
    sink = Run(folder.root, is_finite=False)
    await sink.begin()
    sink.close()
    assert states(folder.root) == [SealState.SERVICE] * 2
    assert left(folder.root) == set()
    # A finite run that takes over from it ends some time.
    sink = Run(folder.root)
    await sink.begin()
    sink.close()
    assert states(folder.root) == [SealState.OPEN] * 2


async def test_of_files_that_are_finished_by_rolling_the_manifest_stays(folder: Folder) -> None:
    await run(folder.root, "M", rolling=ROLLED)
    mark(folder.root)
    sink = Run(folder.root, ROLLED)
    await sink.begin()
    await sink.add("M")
    sink.close()
    assert left(folder.root) == set(OF_THE_FOLDER) - {"_SUCCESS"}


def is_writer() -> bool:
    return threading.current_thread().name.startswith("folder-proofs")


def check(root: Path) -> None:
    """What is there is listed as it is, if anything is."""
    if (root / "manifest-sha256.txt").exists():
        assert listed(root) == found(root)


@pytest.mark.parametrize("number", range(1, 54))
def test_rows_of_the_next_run_come_at_any_moment_of_writing(folder: Folder, number: int) -> None:
    asyncio.run(run(folder.root, "M", "F"))

    def next_run() -> None:
        # It is over before the writer goes on: all is sealed again, and another than it was.
        thread = threading.Thread(target=lambda: asyncio.run(run(folder.root, "M")), name="next")
        thread.start()
        thread.join()

    with at_call(number, next_run, is_writer) as has_happened:
        is_written = asyncio.run(write_of(folder, is_final=True))
    check(folder.root)
    assert is_written or has_happened[0]
    asyncio.run(write_of(folder, is_final=True))
    assert listed(folder.root) == found(folder.root)


@pytest.mark.parametrize("number", range(1, 60, 2))
def test_a_folder_is_written_of_at_any_moment_of_the_next_run_s_first_rows(folder: Folder, number: int) -> None:
    asyncio.run(run(folder.root, "M", "F"))

    def write() -> None:
        thread = threading.Thread(target=lambda: asyncio.run(write_of(folder, is_final=True)), name="writes")
        thread.start()
        thread.join()
        check(folder.root)

    def is_sink() -> bool:
        return not is_writer() and threading.current_thread().name != "writes"

    with at_call(number, write, is_sink):
        asyncio.run(run(folder.root, "M"))
    check(folder.root)


class Crashed(BaseException):
    """The process has crashed."""


@pytest.mark.parametrize("is_finite", [True, False])
@pytest.mark.parametrize("number", range(1, 60, 3))
def test_a_crash_at_any_moment_of_the_next_run_s_first_rows_leaves_nothing_that_is_wrong(
    folder: Folder, number: int, *, is_finite: bool
) -> None:
    asyncio.run(run(folder.root, "M", "F"))
    asyncio.run(write_of(folder, is_final=True))

    def crash() -> None:
        raise Crashed

    async def append() -> None:
        sink = Run(folder.root, is_finite=is_finite)
        try:
            await sink.begin()
            await sink.add("M")
        finally:
            try:
                sink.close()
            finally:
                # What a crash in it has left open, which the death of a process closes.
                sink.close()

    with suppress(Crashed), at_call(number, crash):
        asyncio.run(append())
    check(folder.root)
    # The next one finds what the dead one has left.
    asyncio.run(append())
    assert left(folder.root) == set()
    asyncio.run(run(folder.root, "M"))
    assert asyncio.run(write_of(folder, is_final=True))
    assert listed(folder.root) == found(folder.root)
