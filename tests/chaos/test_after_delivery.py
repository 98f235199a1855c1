"""Files that grow, are renamed and appear again leave INPUT while all services are killed at random."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.pipeline import Pipeline, Service

HEADER = b"Sex,File,Number\n"
_KILLS = extent.count(8, 100)
_SETTLE_S = 1.0
_MOST_FILES = 30
# Few, so that they are taken again and again.
_NAMES = [f"{number}.csv" for number in range(12)]


def rows(name: str, begin: int, end: int) -> bytes:
    return b"".join(b"%s,%s,%d\n" % (b"MFI"[n * 7 % 3 :][:1], name.encode(), n) for n in range(begin, end))


@dataclass
class Writers:
    """Programs that put files into a folder, append to them and rename them; `counts` are each file's rows."""

    folder: Path
    chance: random.Random
    counts: dict[str, int] = field(default_factory=dict)
    # Each file by its inode: none of them is ever deleted.
    ids: dict[int, str] = field(default_factory=dict)
    renames: int = 0
    again: int = 0

    def disturb(self) -> None:
        """One thing that happens to a file."""
        there = [path for path in self.folder.glob("[!.]*.csv") if path.is_file()]
        kind = self.chance.choice(["put", "put", "grow", "grow", "rename"])
        if kind == "put" or not there:
            if len(there) < _MOST_FILES:
                self._put(self.folder / self.chance.choice(_NAMES))
            return
        path = self.chance.choice(there)
        # It may have left since.
        with suppress(FileNotFoundError):
            if kind == "grow":
                self._grow(path)
            else:
                path.rename(self.folder / f"renamed-{self.renames}.csv")
                self.renames += 1

    def _put(self, path: Path) -> None:
        name = f"f{len(self.counts)}"
        # A file with this name may be there.
        with suppress(FileExistsError), path.open("xb", buffering=0) as file:
            self.again += path.name in {_NAMES[int(number) % len(_NAMES)] for number in self.ids}
            self.ids[os.fstat(file.fileno()).st_ino] = name
            self.counts[name] = self.chance.randrange(60)
            file.write(HEADER + rows(name, 0, self.counts[name]))

    def _grow(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        opened_at = time.monotonic()
        try:
            # It may leave meanwhile.
            time.sleep(self.chance.choice([0, 0, 0.1, 0.3]))
            if time.monotonic() - opened_at > _SETTLE_S / 2:
                # On a busy machine: a writer that keeps a file open for as long is beyond what is promised.
                return
            name, count = self.ids[os.fstat(descriptor).st_ino], self.chance.randrange(1, 40)
            os.write(descriptor, rows(name, self.counts[name], self.counts[name] + count))
            self.counts[name] += count
        finally:
            os.close(descriptor)


class Watcher:
    """Looks at every moved file the moment it appears: `wrongs` says which was not in the files by then."""

    def __init__(self, folder: Path, output: Path) -> None:
        self._folder = folder
        self._output = output
        self._end = threading.Event()
        self.seen: dict[str, bytes] = {}
        self.wrongs: list[str] = []

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look until the block ends."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            self.look()
            time.sleep(0.02)

    def look(self) -> None:
        """Look once."""
        found = {path.name: path for path in self._folder.glob("*")} if self._folder.exists() else {}
        new = {name: found[name].read_bytes() for name in found.keys() - self.seen.keys()}
        if new:
            lines = set(self._output.read_bytes().splitlines(keepends=True))
            self.wrongs += [
                name for name, content in new.items() if not lines.issuperset(content.splitlines(keepends=True))
            ]
            self.seen |= new


@pytest.mark.timeout(300 + 30 * _KILLS)
def test_files_that_leave_while_all_services_are_killed_are_in_the_files_and_leave_once(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder, done = tmp_path / "in", tmp_path / "in" / "done"
    folder.mkdir()
    chance = extent.random_for("after delivery")
    writers, watcher = Writers(folder, chance), Watcher(done, pipeline.output / "all.csv")
    settings = {"SETTLE_S": str(_SETTLE_S), "AFTER_DELIVERY": f"move:{done}", "INPUT": str(folder), "SPLIT_BY": "*"}
    running = [pipeline.start(name, **settings) for name in ("ingest", "ingest", "split", "sink")]

    def disturb_until(condition: Callable[[], object], what: str) -> None:
        def holds() -> bool:
            writers.disturb()
            return bool(condition())

        pipeline.wait_until(holds, what, 120)

    with watcher.looking():
        for _ in range(_KILLS):
            left = len(watcher.seen)
            disturb_until(lambda left=left: len(watcher.seen) > left, "one more file has left")  # type: ignore[misc]
            at = time.monotonic() + chance.uniform(0, 2 * _SETTLE_S)
            disturb_until(lambda at=at: time.monotonic() > at, "some time has passed")  # type: ignore[misc]
            number = chance.randrange(len(running))
            running[number].kill()
            running[number] = pipeline.start(running[number].name, **settings)
        count = len(writers.counts)
        pipeline.wait_until(lambda: len(watcher.seen) >= count, "all files have left", 120)
    assert not [path for path in folder.iterdir() if path != done], "nothing else is there"
    assert all(service.stop()[0] == 0 for service in running)
    check(writers, watcher, done, pipeline)
    record_property("after delivery: kills", _KILLS)
    record_property("after delivery: files moved", len(watcher.seen))
    record_property("after delivery: renamed by others", writers.renames)
    record_property("after delivery: put back", told(pipeline.services, "file is put back"))


def check(writers: Writers, watcher: Watcher, done: Path, pipeline: Pipeline) -> None:
    """Every file is moved once, whole, and no row of it is lost or doubled."""
    assert not watcher.wrongs
    moved = {path.name: path.read_bytes() for path in done.iterdir()}
    assert moved == watcher.seen, "a moved file has changed"
    whole = sorted(HEADER + rows(name, 0, count) for name, count in writers.counts.items())
    assert sorted(moved.values()) == whole
    lines = (pipeline.output / "all.csv").read_bytes().splitlines(keepends=True)
    expected = [
        line for name, count in writers.counts.items() for line in rows(name, 0, count).splitlines(keepends=True)
    ]
    assert sorted(lines[1:]) == sorted(expected)
    sources = [line["source"] for service in pipeline.services for line in service.events("source moved")]
    assert len(sources) == len(set(sources)) <= len(moved)


def told(services: list[Service], event: str) -> int:
    return sum(len(service.events(event)) for service in services)
