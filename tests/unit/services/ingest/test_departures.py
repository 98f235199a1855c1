"""Files on their way out of INPUT, with real files: wherever a replica dies, and whatever happens meanwhile."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.protocol.progress import Progress
from common.protocol.receipts import Delivered, Receipt, Rejections
from common.rows.tally import NOTHING
from services.ingest import departures, passage
from services.ingest.delivered.names import is_aside
from services.ingest.files import leaving, renaming
from tests.harness.reading import Schemas
from tests.harness.replica import Replica, Topic

CONTENT = b"Sex,Length\nM,1\nF,2\n"
MORE = b"I,3\nI,4\n"
# Every step that leaves a trace.
STEPS = (
    (departures, "judge_file"),
    (passage, "set_aside"),
    (leaving, "rename_aside"),
    # Only where renaming takes two steps.
    (os, "link"),
    (passage, "sight"),
    (passage, "find_targets"),
    (passage, "leave"),
    (passage, "put_back"),
    (passage, "make_names_durable"),
)


class Death(BaseException):
    """Kill -9, as far as one process can show it."""


@dataclass
class Reaper:
    """Lets a replica die before or after the n-th step; without a number it counts."""

    at: int = -1
    steps: list[str] = field(default_factory=list)

    def reach(self, name: str) -> None:
        """Die if this is the step."""
        if len(self.steps) == self.at:
            raise Death(name)
        self.steps.append(name)

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The function as two steps."""

        def called(*arguments: Any, **named: Any) -> Any:
            self.reach(f"before {name}")
            result = call(*arguments, **named)
            self.reach(f"after {name}")
            return result

        async def awaited(*arguments: Any) -> Any:
            self.reach(f"before {name}")
            result = await call(*arguments)
            self.reach(f"after {name}")
            return result

        return awaited if asyncio.iscoroutinefunction(call) else called


@contextmanager
def dying(reaper: Reaper) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module, name in STEPS:
            patch.setattr(module, name, reaper.wrap(name, getattr(module, name)))
        patch.setattr(Topic, "append", reaper.wrap("append", Topic.append))
        yield


@dataclass
class Life:
    """The lives of an ingest, one after the other, that share what is committed."""

    folder: Path
    after: str
    settings: dict[str, object] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    schemas: Schemas = field(default_factory=Schemas)
    splits: dict[str, Delivered] = field(default_factory=dict)

    async def live(self, turns: int = 4, reaper: Reaper | None = None, *, has_receipts: bool = True) -> bool:
        """So many turns, with a receipt of whatever is read to its end and committed; False if it died."""
        settings = {"settle_s": 0, "after_delivery": self.after} | self.settings
        replica = Replica(self.folder, dict(self.progress), self.schemas, **settings)
        if reaper is not None:
            replica.transactions.commit = reaper.wrap("commit", replica.transactions.commit)  # type: ignore[method-assign]
        try:
            with capture_logs() as logs, dying(reaper or Reaper()):
                await self._live(replica, turns, has_receipts=has_receipts)
        except Death:
            return False
        finally:
            self.progress |= replica.progress
            self.events += [line["event"] for line in logs]
        return True

    async def _live(self, replica: Replica, turns: int, *, has_receipts: bool) -> None:
        await replica.scan.refresh(0)
        replica.sources.departures.resume()
        replica.sources.departures.catch_up()
        for _ in range(turns):
            await replica.look()
            await replica.read()
            await replica.sources.commit()
            for progress in (self.progress | replica.progress).values():
                if has_receipts and progress.ended:
                    replica.sources.departures.note(receipt_of(progress, self.splits))
            await replica.sources.departures.step()

    @property
    def rows(self) -> dict[str, int]:
        """How many rows of each source are committed."""
        return {Path(source).name: progress.tally.rows for source, progress in self.progress.items()}


def receipt_of(progress: Progress, splits: Mapping[str, Delivered] | None = None) -> Receipt:
    numbers = progress.ends, progress.offset, progress.tally
    return Receipt(progress.source, *numbers, "csv", Rejections(), splits or {}, 0, None, None, "", "", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Topic, "agreed", [], raising=False)
    made = tmp_path / "in"
    made.mkdir()
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def clear(folder: Path) -> None:
    """Begin again."""
    Topic.agreed = []
    for path in [*folder.rglob("*.csv")]:
        path.unlink()


def life_of(folder: Path, action: str, **settings: object) -> Life:
    return Life(folder, "move:" + str(folder / "done") if action == "move" else action, settings)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("action", ["move", "delete"])
async def test_a_file_leaves_when_its_receipt_is_there_and_not_before(folder: Path, action: str, *, once: bool) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, action, once=once)
    await life.live(has_receipts=False)
    assert files(folder) == {"a.csv": CONTENT}
    await life.live()
    assert files(folder) == ({"done/a.csv": CONTENT} if action == "move" else {})
    assert life.rows == {"a.csv": 2}
    # A file with its name is another source, and nothing is told of the first.
    (folder / "a.csv").write_bytes(CONTENT + MORE)
    await life.live()
    await life.live()
    assert files(folder) == ({"done/a.csv": CONTENT, "done/a~2.csv": CONTENT + MORE} if action == "move" else {})
    assert sorted(life.rows.values()) == [2, 4]
    assert not {"source cannot be read", "source was renamed", "file is kept after its delivery"} & set(life.events)


def grow(folder: Path) -> bool:
    """Append to the file wherever it is, if it has not left."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("ab") as file:
                file.write(MORE)
            return True
    return False


def put_new(folder: Path) -> bool:
    """Put a new file where the first one was, if it is not there."""
    if not (folder / "a.csv").exists():
        (folder / "a.csv").write_bytes(CONTENT + MORE + MORE)
        return True
    return False


def grow_and_put_new(folder: Path) -> bool:
    """Both, if the first one has its hidden name."""
    return not (folder / "a.csv").exists() and grow(folder) and put_new(folder)


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("action", ["move", "delete"])
@pytest.mark.parametrize("meanwhile", [None, grow, put_new, grow_and_put_new])
async def test_a_death_at_any_step_loses_nothing_and_lets_nothing_leave_twice(
    folder: Path, action: str, meanwhile: Callable[[Path], bool] | None, *, once: bool
) -> None:
    deaths: list[str] = []
    while True:
        clear(folder)
        (folder / "a.csv").write_bytes(CONTENT)
        life, reaper = life_of(folder, action, once=once), Reaper(len(deaths))
        if await life.live(reaper=reaper):
            break
        deaths.append(reaper.steps[-1] if reaper.steps else "")
        has_happened = meanwhile is not None and meanwhile(folder)
        for _ in range(2):
            assert await life.live()
        first = CONTENT + MORE if has_happened and meanwhile is not put_new else CONTENT
        expected = sorted([first, *([CONTENT + MORE + MORE] if has_happened and meanwhile is not grow else [])])
        left = files(folder)
        where = f"died behind {deaths[-1]!r}: {left}"
        assert sorted(left.values()) == (expected if action == "move" else []), where
        assert all(name.startswith("done/") for name in left), where
        assert sorted(life.rows.values()) == sorted(content.count(b"\n") - 1 for content in expected), where
        assert "source cannot be read" not in life.events
    wanted = {f"{when} {name}" for when in ("before", "after") for _, name in STEPS if name not in _NOT_HERE[action]}
    assert {*deaths} >= wanted, wanted - {*deaths}


_NOT_HERE = {"move": {"put_back", "link"}, "delete": {"put_back", "link", "find_targets"}}


@pytest.fixture(params=["one step", "two steps"])
def renaming_takes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "two steps":
        monkeypatch.setattr(renaming, "_renameat2", None)
    return str(request.param)


@pytest.mark.usefixtures("renaming_takes")
@pytest.mark.parametrize("action", ["move", "delete"])
@pytest.mark.parametrize("before", ["sight", "leave"])
async def test_a_file_that_grows_aside_is_put_back_read_on_and_leaves_then(
    folder: Path, action: str, before: str
) -> None:
    path = folder / "a.csv"
    path.write_bytes(CONTENT)
    life = life_of(folder, action)
    reaper = Reaper()
    await life.live(reaper=reaper)
    at = reaper.steps.index(f"before {before}")
    # What puts it back dies as well, at each of its steps.
    for step in range(14):
        clear(folder)
        path.write_bytes(CONTENT)
        life = life_of(folder, action)
        assert not await life.live(reaper=Reaper(at))
        assert grow(folder)
        await life.live(reaper=Reaper(step))
        for _ in range(2):
            assert await life.live()
        assert files(folder) == ({"done/a.csv": CONTENT + MORE} if action == "move" else {})
        assert life.rows == {"a.csv": 4}
        assert life.events.count("file is put back") <= 1


@pytest.mark.parametrize("action", ["move", "delete"])
async def test_a_file_that_grows_while_its_last_step_is_recorded_does_not_leave(
    folder: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    leave = leaving.leave
    has_grown: list[bool] = []

    def leave_late(*arguments: Any) -> None:
        if not has_grown:
            has_grown.append(grow(folder))
        leave(*arguments)

    monkeypatch.setattr(passage, "leave", leave_late)
    life = life_of(folder, action)
    await life.live(8)
    assert files(folder) == ({"done/a.csv": CONTENT + MORE} if action == "move" else {})
    assert life.rows == {"a.csv": 4}
    assert life.events.count("file is put back") == 1


async def test_a_death_between_the_two_steps_of_a_renaming_leaves_one_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renaming, "_renameat2", None)
    (folder / "a.csv").write_bytes(CONTENT)
    life, reaper = life_of(folder, "move"), Reaper()
    await life.live(reaper=reaper)
    clear(folder)
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, "move")
    assert not await life.live(reaper=Reaper(reaper.steps.index("after link")))
    assert len(files(folder)) == 2
    await life.live()
    assert files(folder) == {"done/a.csv": CONTENT}
    assert life.rows == {"a.csv": 2}


async def test_a_file_aside_is_put_back_once_the_setting_is_keep(folder: Path) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, "delete")
    reaper = Reaper()
    await life.live(reaper=reaper)
    (folder / "a.csv").write_bytes(CONTENT)
    Topic.agreed = []
    life = life_of(folder, "delete")
    await life.live(reaper=Reaper(reaper.steps.index("before sight")))
    assert [is_aside(name) for name in files(folder)] == [True]
    life.after = "keep"
    await life.live()
    assert files(folder) == {"a.csv": CONTENT}
    life.after = "delete"
    await life.live()
    assert files(folder) == {}
    assert life.rows == {"a.csv": 2}


@pytest.mark.parametrize("kind", ["symbolic", "hard", "rejected", "half a header", "cut", "rejected by split"])
async def test_what_stays_is_named_once(folder: Path, kind: str) -> None:
    path = folder / "a.csv"
    kinds = {"rejected": b"S,a\nM\nF\n", "half a header": b"Sex,Len", "cut": CONTENT + b"M," + b"x" * 2_000 + b"\n"}
    content = kinds.get(kind, CONTENT)
    path.write_bytes(content)
    if kind == "symbolic":
        path.rename(folder.parent / "elsewhere")
        path.symlink_to(folder.parent / "elsewhere")
    elif kind == "hard":
        os.link(path, folder.parent / "second")
    life = life_of(folder, "delete", max_row_bytes=1_000)
    if kind == "rejected by split":
        life.splits = {"Sex": Delivered(NOTHING, Rejections({"number": 2}))}
    await life.live()
    left = files(folder)
    assert left == {"a.csv": content}
    assert life.events.count("file is kept after its delivery") == 1
    # A file that is only moved still has the whole row, and who permits it has asked for it.
    life.after = "move:" + str(folder / "done")
    life.settings["max_rejected"] = "100%"
    await life.live()
    assert files(folder) == ({"done/a.csv": content} if kind in {"cut", "rejected by split", "rejected"} else left)


async def test_a_file_that_was_written_again_with_the_same_size_stays(folder: Path) -> None:
    path = folder / "a.csv"
    middle = b"".join(b"M,%04d\n" % n for n in range(5_000))
    path.write_bytes(CONTENT + middle + CONTENT)
    life = life_of(folder, "delete")
    await life.live(has_receipts=False)
    written = CONTENT + middle.replace(b"M,2500", b"M,9999") + CONTENT
    path.write_bytes(written)
    os.utime(path, ns=(1, 1))
    await life.live()
    assert files(folder) == {"a.csv": written}
    assert life.events.count("file is kept after its delivery") == 1


async def test_no_file_leaves_before_all_receipts_have_come_nor_by_one_that_was_withdrawn(folder: Path) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, "delete")
    await life.live(has_receipts=False)
    replica = Replica(folder, dict(life.progress), life.schemas, settle_s=0, after_delivery="delete")
    departures = replica.sources.departures
    await replica.scan.refresh(0)
    departures.resume()

    async def turn() -> None:
        await replica.look()
        await replica.read()
        await replica.sources.commit()
        await departures.step()

    [progress] = life.progress.values()
    departures.begin()
    departures.note(receipt_of(progress))
    for _ in range(3):
        await turn()
    assert files(folder) == {"a.csv": CONTENT}
    departures.drop(progress.source)
    departures.catch_up()
    for _ in range(3):
        await turn()
    assert files(folder) == {"a.csv": CONTENT}
    departures.note(receipt_of(progress))
    for _ in range(3):
        await turn()
    assert files(folder) == {}


async def test_a_stray_that_no_record_tells_of_is_put_back(folder: Path) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, "move")
    reaper = Reaper()
    await life.live(reaper=reaper)
    # A replica that was late renames what has the name by now.
    (folder / "a.csv").write_bytes(CONTENT + MORE)
    [departure] = [progress.departure for progress in life.progress.values()]
    assert departure is not None
    (folder / "a.csv").rename(departure.aside)
    await life.live(12)
    assert files(folder) == {"done/a.csv": CONTENT, "done/a~2.csv": CONTENT + MORE}
    assert "a file was left with a hidden name: it is put back" in life.events
    assert sorted(life.rows.values()) == [2, 4]


async def test_a_file_put_back_into_input_by_hand_is_read_again(folder: Path) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, "move")
    await life.live()
    (folder / "done" / "a.csv").rename(folder / "a.csv")
    await life.live()
    assert life.rows == {"a.csv": 2, "2": 2}
    assert files(folder) == {"done/a.csv": CONTENT}


async def test_moved_files_are_not_read_again_where_the_setting_is_taken_back(folder: Path) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, "move")
    await life.live()
    life.after = "keep"
    await life.live()
    assert life.rows == {"a.csv": 2}
    # It is a file of INPUT like any other: what is appended to it is read.
    with (folder / "done" / "a.csv").open("ab") as file:
        file.write(MORE)
    await life.live()
    assert life.rows == {"a.csv": 4}


async def test_a_replica_that_saw_a_file_before_it_left_makes_no_source_of_it(folder: Path) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    life = life_of(folder, "move")
    await life.live(has_receipts=False)
    other = Replica(folder, {}, after_delivery=life.after)
    await other.look()
    await life.live()
    await other.scan.catalog.read()
    await other.scan.agree({})
    assert [Path(source).name for source in other.scan.catalog.locations.of] == ["a.csv"]
    # A look of its own shows that it is gone, and a new file is one.
    (folder / "a.csv").write_bytes(CONTENT)
    await other.look()
    assert sorted(other.paths) == ["a.csv", "a.csv//2"]


async def test_a_second_name_of_a_file_that_has_left_is_free_for_a_new_file_with_its_inode(folder: Path) -> None:
    (folder / "a.csv").write_bytes(CONTENT)
    os.link(folder / "a.csv", folder / "b.csv")
    life = life_of(folder, "move")
    other = Replica(folder, {}, after_delivery=life.after)
    await other.look()
    # As publishing does by a link: the second name becomes the only one.
    (folder / "a.csv").unlink()
    await life.live(8)
    await other.scan.catalog.read()
    await other.look()
    # Removing it would free its inode for the next file.
    (folder / "done" / "b.csv").rename(folder / "b.csv")
    await other.look(2)
    assert other.paths == {"a.csv": "", "b.csv": "b.csv"}
