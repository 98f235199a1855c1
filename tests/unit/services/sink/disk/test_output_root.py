import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import ConfigurationError, ServiceError
from services.sink.disk.durability import make_durable
from services.sink.disk.errors import DiskError
from services.sink.disk.open_files import OpenFiles, check_free, check_room, cut_back
from services.sink.disk.output_root import OutputRoot, check_root, make_root
from services.sink.recovery import check_ledger

Step = Callable[[OutputRoot], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An output folder that is itself a link, beside a folder with a file that must not be touched."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "M.csv").write_bytes(b"theirs")
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    return tmp_path / "out"


def untouched(root: Path) -> bool:
    elsewhere = root.parent / "elsewhere"
    return [(path.name, path.read_bytes()) for path in elsewhere.iterdir()] == [("M.csv", b"theirs")]


def appended(output: OutputRoot, path: str) -> None:
    files = OpenFiles()
    try:
        files.append(output, path, 0, b"ours")
    finally:
        files.close()


STEPS: dict[str, Step] = {
    "append": lambda output: appended(output, "Sex/M.csv"),
    "append a new file": lambda output: appended(output, "Sex/new.csv"),
    "make folders": lambda output: appended(output, "Sex/new/M.csv"),
    "cut back": lambda output: cut_back(output, "Sex/M.csv", 1),
    "cut a missing file back": lambda output: cut_back(output, "Sex/none.csv", 0),
    "look whether a file is there": lambda output: check_free(output, "Sex/new.csv"),
    "sync a file": lambda output: make_durable(output.root, ["Sex/M.csv"], [], bool),
    "sync a folder": lambda output: make_durable(output.root, [], ["Sex"], bool),
    "try the room": lambda output: check_room(output, "Sex/M.csv"),
    "look at a ledger": lambda output: check_ledger(output, "Sex/M.csv"),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
@pytest.mark.parametrize("target", ["../elsewhere", "../nowhere"])
def test_a_folder_that_is_a_link_is_refused_and_nothing_behind_it_touched(root: Path, step: Step, target: str) -> None:
    (root / "Sex").symlink_to(target)
    with OutputRoot(root) as output, pytest.raises(ServiceError, match=r"out/Sex is a symbolic link, .* OUTPUT_DIR"):
        step(output)
    assert untouched(root)
    assert not (root.parent / "nowhere").exists()


@pytest.mark.parametrize("name", ["append", "cut back", "sync a file", "look at a ledger"])
@pytest.mark.parametrize("target", ["elsewhere/M.csv", "elsewhere/none.csv"])
def test_a_file_that_is_a_link_is_refused_and_what_it_points_to_not_touched(root: Path, name: str, target: str) -> None:
    (root / "Sex").mkdir()
    (root / "Sex" / "M.csv").symlink_to(root.parent / target)
    with OutputRoot(root) as output, pytest.raises(ServiceError, match=r"out/Sex/M\.csv is a symbolic link"):
        STEPS[name](output)
    assert untouched(root)


def test_the_files_that_sqlite_keeps_beside_a_ledger_may_be_no_links(root: Path) -> None:
    (root / ".nacre").mkdir()
    (root / ".nacre" / "a.ledger-wal").symlink_to("../../elsewhere/M.csv")
    with OutputRoot(root) as output, pytest.raises(ServiceError, match=r"a\.ledger-wal is a symbolic link"):
        check_ledger(output, ".nacre/a.ledger")


def test_the_room_is_tried_in_a_new_file_that_does_not_stay(root: Path) -> None:
    (root / "room").symlink_to("../elsewhere/M.csv")
    with OutputRoot(root) as output:
        check_room(output, "room")
    assert list(root.iterdir()) == []
    assert untouched(root)


def test_a_folder_that_becomes_a_link_is_refused_from_the_next_batch_on(root: Path) -> None:
    with OutputRoot(root) as output:
        appended(output, "Sex/M.csv")
    (root / "Sex").rename(root / "moved")
    (root / "Sex").symlink_to("../elsewhere")
    with OutputRoot(root) as output, pytest.raises(ServiceError, match="symbolic link"):
        appended(output, "Sex/F.csv")
    assert untouched(root)


def test_a_path_that_leaves_the_folder_is_refused(root: Path) -> None:
    for path in ("../elsewhere/M.csv", "..", "Sex/../../elsewhere/M.csv"):
        with OutputRoot(root) as output, pytest.raises(ServiceError, match="leaves OUTPUT_DIR"):
            appended(output, path)
    with OutputRoot(root) as output:
        appended(output, "/etc.csv")
    assert (root / "etc.csv").read_bytes() == b"ours"
    assert untouched(root)


def test_what_is_no_link_and_in_the_way_is_the_disk_s_failure(root: Path) -> None:
    (root / "Sex").write_bytes(b"a file")
    os.mkfifo(root / "pipe.csv")
    for path in ("Sex/M.csv", "pipe.csv"):
        with (
            OutputRoot(root) as output,
            pytest.raises(DiskError, match=rf"write .*out/{path}: .*, sink goes on by itself"),
        ):
            appended(output, path)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_folders_that_are_kept_open_are_few(root: Path) -> None:
    paths = [f"{number // 10}/{number}/x.csv" for number in range(100)]
    before = open_descriptors()
    with OutputRoot(root) as output:
        for path in paths:
            appended(output, path)
            assert open_descriptors() <= before + 16
    assert open_descriptors() == before
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*.csv")) == sorted(paths)


def test_an_output_folder_that_cannot_be_made_is_reported_with_its_path(root: Path) -> None:
    with pytest.raises(DiskError, match=r"cannot write .*/M\.csv/out: Not a directory: mend it"):
        make_root(root.parent / "elsewhere" / "M.csv" / "out")


def test_an_output_dir_that_is_no_folder_or_below_a_file_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "to-file").symlink_to("file")
    for name in ("file", "file/out", "link", "link/out", "to-file"):
        with pytest.raises(ConfigurationError, match="OUTPUT_DIR") as refusal:
            check_root(tmp_path / name)
        assert "\n" not in str(refusal.value)
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-folder").symlink_to("folder")
    for name in ("folder", "to-folder", "folder/new/out"):
        check_root(tmp_path / name)
