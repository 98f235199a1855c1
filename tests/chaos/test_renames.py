"""Files that are renamed and rotated at random, while ingests that read them are killed."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.pipeline import Pipeline

HEADER = b"Sex,Source,Number\n"
SOURCES, REPLICAS = 8, 2
_SECONDS = extent.count(20, 600)


def rows(source: str, begin: int, end: int) -> bytes:
    return b"".join(b"%s,%s,%d\n" % (b"MFI"[n * 7 % 3 :][:1], source.encode(), n) for n in range(begin, end))


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


class Shuffled:
    """Files that grow, and are renamed and rotated at random."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._random = chance
        self._names: Iterator[Path] = (folder / f"{number}.csv" for number in range(100_000))
        # Each file's rows, whatever it is called now.
        self.paths: dict[str, Path] = {}
        self.counts: dict[str, int] = {}
        for _ in range(SOURCES):
            self._begin(next(self._names))

    def _begin(self, path: Path) -> None:
        name = f"f{len(self.paths)}"
        path.write_bytes(HEADER)
        self.paths[name], self.counts[name] = path, 0

    def _grow(self, name: str) -> None:
        count = self._random.randrange(1, 60)
        append(self.paths[name], rows(name, self.counts[name], self.counts[name] + count))
        self.counts[name] += count

    def disturb(self, known: set[str]) -> None:
        """Some rows more, and another name for one of the files.

        Only a file that ingest knows may get a name that INPUT does not have: it would never be seen otherwise.
        """
        for name in self._random.sample(list(self.paths), SOURCES // 2):
            self._grow(name)
        name = self._random.choice(list(self.paths))
        before = self.paths[name]
        after = next(self._names)
        other = self._random.choice(list(self.paths))
        kind = self._random.choice(["rename", "rename", "rotate", "swap"])
        # What is begun has to have a name that INPUT has.
        may_rotate = before.suffix == ".csv" or kind == "swap"
        if kind == "rename" or not may_rotate or not {name, other} <= known:
            before.rename(after)
            self.paths[name] = after
        elif kind == "rotate":
            before.rename(after.with_suffix(".csv.1"))
            self.paths[name] = after.with_suffix(".csv.1")
            self._begin(before)
        else:
            there = self.paths[other]
            if there != before:
                before.rename(after)
                there.rename(before)
                after.rename(there)
                self.paths[name], self.paths[other] = there, before
        self._grow(name)


class Found:
    """The numbers of each file's rows, as they are written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.rows: dict[str, list[int]] = {}

    def look(self) -> None:
        """Read on."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        first = not self._read
        self._read += len(whole)
        for line in whole.decode().splitlines()[first:]:
            _, name, number = line.split(",")
            self.rows.setdefault(name, []).append(int(number))


@pytest.mark.timeout(240 + 3 * _SECONDS)
def test_files_renamed_at_random_while_ingests_are_killed_lose_and_repeat_nothing(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    chance = extent.random_for("renames")
    shuffled = Shuffled(folder, chance)
    # Without kills of sink the file only grows: each line is read once.
    found = Found(pipeline.output / "all.csv")
    others = [pipeline.start("split", SPLIT_BY="*"), pipeline.start("sink")]
    ingests = [pipeline.start("ingest", folder, SETTLE_S="0.1") for _ in range(REPLICAS)]
    kills = renames = 0
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        found.look()
        shuffled.disturb(set(found.rows))
        renames += 1
        if chance.random() < 0.15 and all(ingest.events("ready") for ingest in ingests):
            victim = chance.randrange(REPLICAS)
            ingests[victim].kill()
            ingests[victim] = pipeline.start("ingest", folder, SETTLE_S="0.1")
            kills += 1
        # Whatever the services do meanwhile: the instants are to be random.
        time.sleep(chance.uniform(0, 0.2))
    size = len(HEADER) + sum(len(rows(name, 0, count)) for name, count in shuffled.counts.items())
    pipeline.wait_until(lambda: pipeline.output_size() >= size, "all rows are written", 90)
    for service in (*ingests, *others):
        assert service.stop()[0] == 0
    found.look()
    for name, count in shuffled.counts.items():
        assert found.rows.get(name, []) == list(range(count)), f"{name}, now {shuffled.paths[name]}"
    assert [path.name for path in pipeline.output.glob("*.csv")] == ["all.csv"]
    assert kills
    record_property("renames: rows", sum(shuffled.counts.values()))
    record_property("renames: files", len(shuffled.paths))
    record_property("renames: new names", renames)
    record_property("renames: kills of ingest", kills)
