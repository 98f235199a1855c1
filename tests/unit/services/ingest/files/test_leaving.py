"""The steps of a file on its way out, with real files; where renaming takes one step and where it takes two."""

import errno
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.protocol.progress import Departure, DepartureStage, Progress
from services.ingest.delivered.decisions import Choice, Sighting
from services.ingest.delivered.names import aside_name
from services.ingest.files import renaming
from services.ingest.files.finding import source_name
from services.ingest.files.leaving import (
    file_facts_of,
    find_targets,
    give_name,
    judge_error,
    judge_file,
    leave,
    make_names_durable,
    put_back,
    set_aside,
    sight,
)
from services.ingest.files.reading import MovedError
from services.ingest.files.renaming import rename_aside, rename_to_free
from tests.harness.sources import look, read_to_its_end

CONTENT = b"Sex,Length\nM,1\nF,2\n"


@pytest.fixture(params=["in one step", "in two"], autouse=True)
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in two":
        monkeypatch.setattr(renaming, "_renameat2", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "in" / "a.csv"
    made.parent.mkdir()
    made.write_bytes(CONTENT)
    return made


def departure_of(path: Path, target: Path | None = None) -> Departure:
    aside = path.with_name(aside_name("", "/in/a.csv", 1, path.name))
    stage = DepartureStage.ASIDE if target is None else DepartureStage.LEAVING
    goes_to = "" if target is None else source_name(target)
    return Departure(stage, 1, look(path).file, source_name(path), source_name(aside), goes_to)


def others(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


@pytest.mark.parametrize("rename", [rename_to_free, rename_aside])
def test_a_file_never_takes_a_name_that_is_taken(path: Path, rename: object) -> None:
    assert callable(rename)
    other = path.with_name("b.csv")
    other.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        rename(path, other)
    assert others(path.parent) == {"a.csv": CONTENT, "b.csv": b"other"}
    with pytest.raises(FileNotFoundError):
        rename(path.with_name("none"), path.with_name("c.csv"))
    rename(path, path.with_name("c.csv"))
    assert others(path.parent) == {"c.csv": CONTENT, "b.csv": b"other"}


def test_a_file_is_set_aside_and_moved_away(path: Path) -> None:
    target = path.parent / "done" / "deeper" / "a.csv"
    departure, progress = departure_of(path, target), read_to_its_end(path)
    assert judge_file(progress, look(path), path.parent, path.parent / "done").choice is Choice.LEAVES
    set_aside(departure)
    assert sight(progress, departure) == Sighting(file_facts_of(Path(departure.aside)))
    # Also where a replica that was late has done it.
    set_aside(departure)
    leave(departure, progress)
    make_names_durable([departure])
    assert target.read_bytes() == CONTENT
    assert others(path.parent) == {}
    assert sight(progress, departure) == Sighting(None, is_at_target=True)


def test_a_file_is_set_aside_and_deleted(path: Path) -> None:
    departure, progress = departure_of(path), read_to_its_end(path)
    set_aside(departure)
    leave(departure, progress)
    make_names_durable([departure])
    assert sight(progress, departure) == Sighting(None)
    assert others(path.parent) == {}


def test_another_file_with_its_name_is_not_set_aside(path: Path) -> None:
    departure = departure_of(path)
    path.rename(path.with_name("b.csv"))
    path.write_bytes(b"another")
    with pytest.raises(MovedError):
        set_aside(departure)
    assert others(path.parent) == {"a.csv": b"another", "b.csv": CONTENT}


def test_a_file_that_replaced_it_at_the_last_moment_is_put_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    departure = departure_of(path)
    renamed = rename_aside

    def late(source: Path, target: Path) -> None:
        source.rename(source.with_name("b.csv"))
        source.write_bytes(b"another")
        renamed(source, target)

    monkeypatch.setattr("services.ingest.files.leaving.rename_aside", late)
    with pytest.raises(MovedError):
        set_aside(departure)
    assert others(path.parent) == {"a.csv": b"another", "b.csv": CONTENT}


def test_a_file_is_put_back_beside_one_that_has_its_name_by_now(path: Path) -> None:
    departure = departure_of(path)
    set_aside(departure)
    path.write_bytes(b"new")
    assert put_back(departure) == path.with_name("a~2.csv")
    assert others(path.parent) == {"a.csv": b"new", "a~2.csv": CONTENT}


def test_a_target_that_is_taken_is_never_overwritten(path: Path) -> None:
    done = path.parent / "done"
    done.mkdir()
    for name in ("a.csv", "a~2.csv"):
        (done / name).write_bytes(b"earlier")
    departure, progress = departure_of(path, done / "a.csv"), read_to_its_end(path)
    set_aside(departure)
    with pytest.raises(FileExistsError):
        leave(departure, progress)
    assert Path(departure.aside).read_bytes() == CONTENT
    assert others(done) == {"a.csv": b"earlier", "a~2.csv": b"earlier"}


def test_a_file_that_has_the_name_of_a_target_s_folder_is_told(path: Path) -> None:
    done = path.parent / "done"
    done.write_bytes(b"a file")
    departure, progress = departure_of(path, done / "a.csv"), read_to_its_end(path)
    set_aside(departure)
    with pytest.raises(NotADirectoryError) as raised:
        leave(departure, progress)
    judgement = judge_error(raised.value)
    assert (judgement.choice, judgement.reason) == (Choice.HINDERED, f"Not a directory: {done}")
    assert put_back(departure) == path


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_file_that_may_have_no_second_name_is_renamed_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(renaming, "_renameat2", None)
    monkeypatch.setattr(os, "link", refuse)
    departure, progress = departure_of(path, path.parent / "done" / "a.csv"), read_to_its_end(path)
    set_aside(departure)
    assert put_back(departure) == path
    set_aside(departure)
    leave(departure, progress)
    assert others(path.parent / "done") == {"a.csv": CONTENT}
    path.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        rename_to_free(path, path.parent / "done" / "a.csv")


def test_targets_are_free_and_below_the_folder_as_the_files_were_below_input(tmp_path: Path) -> None:
    done, root = tmp_path / "done", tmp_path / "in"
    (done / "deeper").mkdir(parents=True)
    (done / "deeper" / "a.csv").touch()
    # A link that leads nowhere has a name too.
    (done / "b.csv.gz").symlink_to("none")
    paths = {
        "1": root / "deeper" / "a.csv",
        "2": root / "b.csv.gz",
        "3": tmp_path / "elsewhere" / "c.csv",
        "4": root / "c.csv",
    }
    assert find_targets(done, root, paths) == {
        "1": done / "deeper" / "a~2.csv",
        "2": done / "b~2.csv.gz",
        "3": done / "c.csv",
        "4": done / "c~2.csv",
    }


@pytest.mark.parametrize("at", ["path", "target"])
def test_a_death_between_two_names_is_seen_and_mended(path: Path, at: str) -> None:
    target = path.with_name("done.csv")
    departure, progress = departure_of(path, target), read_to_its_end(path)
    set_aside(departure)
    aside = Path(departure.aside)
    os.link(aside, path if at == "path" else target)
    for _ in range(2):
        assert sight(progress, departure) == Sighting(None, at == "path", at == "target")
        assert others(path.parent) == {"a.csv" if at == "path" else "done.csv": CONTENT}


@pytest.mark.parametrize("grew", [False, True])
def test_a_file_that_is_at_its_path_is_known_by_its_content(path: Path, *, grew: bool) -> None:
    departure, progress = departure_of(path), read_to_its_end(path)
    if grew:
        with path.open("ab") as file:
            file.write(b"I,3\n")
    assert sight(progress, departure) == Sighting(None, is_at_path=True)
    assert sight(progress, replace(departure, stage=DepartureStage.LEAVING)) == Sighting(None, is_at_path=not grew)
    # The inode of a deleted file is given again.
    path.write_bytes(CONTENT.replace(b"M", b"F"))
    assert sight(progress, departure) == Sighting(None)


def test_after_a_device_got_another_number_only_what_was_read_counts(path: Path) -> None:
    departure, progress = departure_of(path), read_to_its_end(path)
    other = replace(departure, file="99:1")
    assert sight(progress, other) == Sighting(None, is_at_path=True, is_reachable=False)
    path.unlink()
    assert sight(progress, other) == Sighting(None, is_reachable=False)
    gone = replace(departure, path=f"{departure.path}/none/a.csv", aside=f"{departure.path}/none/b.csv")
    assert not sight(progress, gone).is_reachable


def judged(path: Path, progress: Progress, folder: Path | None = None) -> str:
    return judge_file(progress, look(path), path.parent, folder).reason


def test_what_is_no_file_of_its_own_or_not_all_read_stays(path: Path) -> None:
    progress = read_to_its_end(path)
    link = path.with_name("link.csv")
    link.symlink_to(path)
    assert judged(link, progress) == "it is a symbolic link"
    folder = path.parent.with_name("elsewhere")
    folder.symlink_to(path.parent)
    root = path.parent / "deeper"
    assert judge_file(progress, look(path), root, None).reason == "a symbolic link leads to its folder"
    # INPUT itself may be one.
    assert judge_file(progress, look(folder / path.name), folder, None).choice is Choice.LEAVES
    assert "it was touched, or written again" in judged(path, replace(progress, is_touched=True))
    os.link(path, path.with_name("second.csv"))
    assert judged(path, progress) == "it has 2 names (hard links)"
    path.with_name("second.csv").unlink()
    assert "it is on another file system than /proc" in judged(path, progress, Path("/proc/done"))
    assert judged(path, replace(progress, offset=15, tail="")) == "it has changed since it was read"
    header = path.with_name("header.csv")
    header.write_bytes(b"Sex,Le")
    assert judged(header, replace(read_to_its_end(header), offset=0)) == "0 of its 6 bytes were read"


def test_a_name_that_is_not_utf_8_is_kept(path: Path) -> None:
    odd = path.rename(path.with_name(os.fsdecode(b"caf\xe9.csv")))
    departure = departure_of(odd)
    set_aside(departure)
    assert not odd.exists()
    put_back(departure)
    assert others(odd.parent) == {odd.name: CONTENT}
    assert give_name(odd, odd.with_name("b.csv")) == odd.with_name("b.csv")
