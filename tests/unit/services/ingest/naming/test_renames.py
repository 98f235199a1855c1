"""Files that are renamed before any look sees them, from events alone and with a real inotify."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.files.finding import find_filter, find_moved
from services.ingest.files.watching import FolderWatch
from services.ingest.naming.renames import Renames


def watch(folder: Path, given_input: str | None = None) -> FolderWatch:
    """A watch of this folder after a look that has seen what is in it."""
    made = FolderWatch(find_filter(given_input or str(folder)))
    made.begin()
    made.enter(str(folder))
    assert not made.trouble
    return made


def moved_to(folder: Path, watching: FolderWatch) -> list[tuple[str, str, bytes]]:
    """The files that were renamed out of the input: old and new name, and content."""
    watching.read()
    moved = find_moved(str(folder), watching.renames, watching.read)
    return [
        (Path(each.home).name, Path(each.found.path).name, Path(each.found.path).read_bytes())
        for each in moved.values()
    ]


def rotate(folder: Path, *, keep: int) -> None:
    for number in range(keep - 1, 0, -1):
        if (folder / f"a.csv.{number}").exists():
            (folder / f"a.csv.{number}").rename(folder / f"a.csv.{number + 1}")
    (folder / "a.csv").rename(folder / "a.csv.1")


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_files_rotated_before_any_look_are_found_in_their_order(tmp_path: Path, turns: int) -> None:
    watching = watch(tmp_path)
    for turn in range(turns):
        (tmp_path / "a.csv").write_bytes(b"%d" % turn)
        rotate(tmp_path, keep=9)
    assert moved_to(tmp_path, watching) == [("a.csv", f"a.csv.{turns - turn}", b"%d" % turn) for turn in range(turns)]
    assert watching.names_changed


def test_a_file_that_was_rotated_and_deleted_unseen_is_reported(tmp_path: Path) -> None:
    watching = watch(tmp_path)
    for _ in range(3):
        (tmp_path / "a.csv").write_bytes(b"x")
        rotate(tmp_path, keep=2)
    (tmp_path / "b.csv").touch()
    (tmp_path / "b.csv").unlink()
    (tmp_path / "c.csv").touch()
    (tmp_path / "c.csv").rename(tmp_path.parent / "moved-away.csv")
    assert len(moved_to(tmp_path, watching)) == 2
    gone = watching.renames.end_look(lambda _: False)
    assert sorted(Path(path).name for path in gone) == ["a.csv", "b.csv"]
    # The other half of its renaming would have come by the next look.
    assert [Path(path).name for path in watching.renames.first_unsettled()] == []
    gone = watching.renames.end_look(lambda _: False)
    assert [Path(path).name for path in gone] == ["c.csv"]


def test_a_name_that_one_file_after_the_other_leaves_is_waited_for_at_every_other_look() -> None:
    renames = Renames(lambda path: path.endswith(".csv"))
    waited = []
    for cookie in range(6):
        renames.create("a.csv")
        renames.leave("a.csv", cookie)
        waited.append(bool(renames.first_unsettled()))
        gone = renames.end_look(lambda _: False)
        assert len(gone) == min(cookie, 1)
    assert waited == [True, False] * 3


def test_a_renaming_of_which_a_look_reads_only_one_half_is_whole_at_the_next() -> None:
    renames = Renames(lambda path: path.endswith(".csv"))
    renames.create("a.csv")
    renames.leave("a.csv", 1)
    renames.create("a.csv")
    assert renames.first_unsettled() == {"a.csv": 1}
    assert renames.end_look(lambda _: True) == []
    renames.arrive("a.csv.1", 1)
    assert {path: former.path for path, former in renames.former_names.items()} == {"a.csv.1": "a.csv"}
    assert renames.first_unsettled() == {}
    assert renames.end_look(lambda _: True) == []
    assert renames.former_names == {}


def test_a_file_that_a_look_has_seen_is_not_reported_when_it_goes(tmp_path: Path) -> None:
    watching = watch(tmp_path)
    (tmp_path / "a.csv").touch()
    watching.read()
    assert watching.renames.end_look(lambda path: Path(path).exists()) == []
    (tmp_path / "a.csv").unlink()
    watching.read()
    assert watching.renames.end_look(lambda _: False) == []


def test_temporary_files_editors_copies_and_those_renamed_within_the_input_are_not_moved_out(tmp_path: Path) -> None:
    watching = watch(tmp_path)
    for before, after in (("a.csv.part", "a.csv"), ("b.csv", "b.csv~"), ("c.csv", "d.csv"), ("x.txt", "y.txt")):
        (tmp_path / before).touch()
        (tmp_path / before).rename(tmp_path / after)
    assert moved_to(tmp_path, watching) == []


@pytest.mark.parametrize(
    ("given_input", "found"), [("{}", True), ("{}/*.csv", True), ("{}/a.csv", True), ("{}/b*.csv", False)]
)
def test_only_what_input_names_is_followed(tmp_path: Path, given_input: str, *, found: bool) -> None:
    given_input = given_input.format(tmp_path)
    watching = watch(tmp_path, given_input)
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.csv").rename(tmp_path / "a.csv.1")
    watching.read()
    assert bool(find_moved(given_input, watching.renames, watching.read)) == found


def test_a_folder_that_was_replaced_is_noticed_and_watched_again(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    watching = watch(tmp_path / "link")
    assert not watching.has_other_folders()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    watching._ask_at = 0.0  # noqa: SLF001 - a second later
    assert watching.has_other_folders()
    watching.begin()
    watching.enter(str(tmp_path / "link"))
    (tmp_path / "other" / "a.csv").touch()
    watching.read()
    assert watching.names_changed


def test_a_folder_that_was_moved_is_watched_where_it_is(tmp_path: Path) -> None:
    folder, other = tmp_path / "in" / "a", tmp_path / "in" / "b"
    (folder / "sub").mkdir(parents=True)

    def look(*folders: Path) -> None:
        watching.read()
        watching.begin()
        for each in folders:
            watching.enter(str(each))

    watching = watch(folder.parent)
    look(folder.parent, folder, folder / "sub")
    # The same if it is entered under its new name before that event comes.
    folder.rename(other)
    watching.enter(str(other / "sub"))
    look(folder.parent, other, other / "sub")
    other.rename(folder)
    look(folder.parent, folder, folder / "sub")
    for each in (folder, folder / "sub"):
        (each / "a.csv").touch()
        (each / "a.csv").rename(each / "a.csv.1")
    watching.read()
    assert set(watching.renames.former_names) == {str(folder / "a.csv.1"), str(folder / "sub" / "a.csv.1")}
    # Once it is out of the input, none of its events comes.
    folder.rename(tmp_path / "out")
    look(folder.parent)
    watching.renames.end_look(lambda _: True)
    for moved in ("out", "out/sub"):
        (tmp_path / moved / "b.csv").touch()
        (tmp_path / moved / "b.csv").unlink()
    watching.read()
    assert watching.renames.end_look(lambda _: False) == []


def test_a_file_system_that_may_not_report_changes_is_trouble() -> None:
    watching = FolderWatch(lambda _: True)
    watching.enter("/proc")
    assert "file system (proc)" in watching.trouble


def test_a_folder_that_cannot_be_watched_is_trouble_until_it_can(tmp_path: Path) -> None:
    watching = FolderWatch(lambda _: True)
    watching.enter(str(tmp_path / "gone"))
    assert watching.trouble
    watching.begin()
    (tmp_path / "gone").mkdir()
    watching.enter(str(tmp_path / "gone"))
    assert not watching.trouble


names = st.sampled_from(["a.csv", "b.csv", "a.csv.1", "a.csv.2", "x"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), names, names),
        st.tuples(st.just("move"), names, names),
        st.tuples(st.just("delete"), names, names),
    ),
    max_size=30,
)


@given(steps)
def test_no_file_of_the_input_is_lost_in_silence(done: list[tuple[str, str, str]]) -> None:
    """Each file that had a name of the input is still there, was moved out, or is reported as gone."""
    renames, there, had = Renames(lambda path: path.endswith(".csv")), dict[str, int](), dict[int, str]()
    gone: list[str] = []
    for count, (what, name, other) in enumerate(done):
        lost = None
        if what == "create" and name not in there:
            there[name] = count
            renames.create(name)
        elif what == "delete" and name in there:
            lost = there.pop(name)
            renames.delete(name)
        elif what == "move" and name in there and name != other:
            # A file renamed over another of the input takes its place, as a rewritten one does.
            lost = None if other.endswith(".csv") else there.get(other)
            there[other] = there.pop(name)
            renames.leave(name, count)
            renames.arrive(other, count)
        if lost in had:
            gone.append(had[lost])
        had |= {file: path for path, file in there.items() if path.endswith(".csv")}
    out = {path: had[file] for path, file in there.items() if file in had and not path.endswith(".csv")}
    assert {path: former.path for path, former in renames.former_names.items()} == out
    assert renames.end_look(lambda _: False) == gone


def test_a_file_that_ingest_has_set_aside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    watching = watch(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / ".nacre-0123456789ab-1-a.csv")
    assert moved_to(tmp_path, watching) == []
    assert watching.names_changed
    (tmp_path / ".nacre-0123456789ab-1-a.csv").rename(tmp_path / "a.csv")
    assert moved_to(tmp_path, watching) == []
    assert watching.renames.end_look(lambda _: True) == []
