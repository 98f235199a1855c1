"""Files that grow, are renamed and appear again leave INPUT while all services are killed at random."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.pipeline import Pipeline

HEADER = b"Sex,File,Number\n"
_KILLS = extent.count(8, 100)
_FREEZES = extent.count(3, 30)
_SESSION_S = 6.0
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


class Scene:
    """All services at work, two ingests among them, while files come, change and leave."""

    def __init__(self, pipeline: Pipeline, folder: Path, chance: random.Random) -> None:
        folder.mkdir()
        self.pipeline = pipeline
        self.done = folder / "done"
        self.writers = Writers(folder, chance)
        self.watcher = Watcher(self.done, pipeline.output / "all.csv")
        after = {"SETTLE_S": str(_SETTLE_S), "AFTER_DELIVERY": f"move:{self.done}"}
        self.settings = {"INPUT": str(folder), "SPLIT_BY": "*", **after}
        self.running = [pipeline.start(name, **self.settings) for name in ("ingest", "ingest", "split", "sink")]

    def disturb_for(self, seconds: float) -> None:
        """Let files come and change for so long."""
        end = time.monotonic() + seconds
        self._disturb_until(lambda: time.monotonic() > end, "some time has passed")

    def disturb_until_one_leaves(self) -> None:
        """Let files come and change until one more has left."""
        left = len(self.watcher.seen)
        self._disturb_until(lambda: len(self.watcher.seen) > left, "one more file has left")

    def _disturb_until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            self.writers.disturb()
            return condition()

        self.pipeline.wait_until(holds, what, 120)

    def kill(self, number: int) -> None:
        """Kill -9 one of the services, and start another."""
        self.running[number].kill()
        self.running[number] = self.pipeline.start(self.running[number].name, **self.settings)

    def finish(self) -> None:
        """Let all files leave, stop everything and check it."""
        count = len(self.writers.counts)
        self.pipeline.wait_until(lambda: len(self.watcher.seen) >= count, "all files have left", 120)
        assert not [path for path in self.writers.folder.iterdir() if path != self.done], "nothing else is there"
        assert all(service.stop()[0] == 0 for service in self.running)
        check(self.writers, self.watcher, self.done, self.pipeline)

    def told(self, event: str) -> int:
        """How often this was logged."""
        return sum(len(service.events(event)) for service in self.pipeline.services)


@pytest.mark.timeout(300 + 30 * _KILLS)
def test_files_that_leave_while_all_services_are_killed_are_in_the_files_and_leave_once(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = extent.random_for("after delivery")
    scene = Scene(pipeline, tmp_path / "in", chance)
    with scene.watcher.looking():
        for _ in range(_KILLS):
            scene.disturb_until_one_leaves()
            scene.disturb_for(chance.uniform(0, 2 * _SETTLE_S))
            scene.kill(chance.randrange(len(scene.running)))
        scene.finish()
    record_property("after delivery: kills", _KILLS)
    record_property("after delivery: files moved", len(scene.watcher.seen))
    record_property("after delivery: renamed by others", scene.writers.renames)
    record_property("after delivery: put back", scene.told("file is put back"))


@pytest.mark.timeout(300 + 40 * _FREEZES)
def test_files_that_leave_while_an_ingest_freezes_and_comes_back_leave_once(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = extent.random_for("after delivery, frozen")
    scene = Scene(pipeline, tmp_path / "in", chance)
    with scene.watcher.looking():
        for _ in range(_FREEZES):
            scene.disturb_until_one_leaves()
            scene.disturb_for(chance.uniform(0, 2 * _SETTLE_S))
            frozen = scene.running[chance.randrange(2)]
            frozen.send(signal.SIGSTOP)
            # The other takes over once the group has given it up.
            scene.disturb_for(_SESSION_S + chance.uniform(1, 4))
            frozen.send(signal.SIGCONT)
        scene.finish()
    record_property("after delivery: freezes", _FREEZES)
    record_property("after delivery: files moved, with freezes", len(scene.watcher.seen))
    record_property("after delivery: strays put back", scene.told("a file was left with a hidden name: it is put back"))


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
