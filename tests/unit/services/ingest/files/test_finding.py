"""Which files INPUT names, compared with Python's own glob on real folders."""

import glob
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.ingest.files.finding import find_files, look_beside, may_name, path_of, source_name
from tests.harness.sources import look

NAMES = [
    "a.csv",
    "b.csv",
    "ab.csv",
    "A.csv",
    ".h.csv",
    "[a].csv",
    "!.csv",
    "a*.csv",
    os.fsdecode(b"\xe9.csv"),
    "a\\xe9.csv",
]
FOLDERS = ["s", "t", ".g", "[s]", "d.csv"]
SEGMENTS = [
    *("**", "**", "*", "*.csv", "?.csv", "[ab].csv", "[!a].csv", "[[]a].csv", "a[*].csv", "[a", ".*", ".*.csv", "*.*"),
    *("a.csv", "s", "t", ".g", "?", "[st]", "s*", "**s", "..", ".", "[.]g", "l", "*b*", "a**.csv", ""),
]

files = st.tuples(st.lists(st.sampled_from(FOLDERS), max_size=3), st.sampled_from(NAMES)).map(lambda t: [*t[0], t[1]])
links = st.tuples(st.sampled_from(["l", "s", "x.csv"]), st.lists(st.sampled_from(FOLDERS), min_size=1, max_size=2))
patterns = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map("/".join)


def make(root: Path, tree: list[list[str]], linked: list[tuple[str, list[str]]]) -> None:
    """Make these files, and links to folders that hold no link, so that none leads back."""
    for parts in tree:
        path = root.joinpath(*parts)
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for name, target in linked:
        path = root / name
        if not path.exists() and root.joinpath(*target).exists():
            path.symlink_to(root.joinpath(*target))


def all_files(root: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(root, followlinks=True):
        yield from (Path(parent, name) for name in names)


def names(paths: Iterator[Path]) -> set[str]:
    return {source_name(path) for path in paths}


@given(tree=st.lists(files, max_size=8), linked=st.lists(links, max_size=2), pattern=patterns, relative=st.booleans())
@example(tree=[["a.csv"], ["s", "b.csv"]], linked=[], pattern="**/*.csv", relative=False)
@example(tree=[["a.csv"], ["s", "b.csv"]], linked=[], pattern="*.csv", relative=False)
@example(tree=[["s", "b.csv"]], linked=[("l", ["s"])], pattern="*/*.csv", relative=True)
@example(tree=[["s", "b.csv"]], linked=[], pattern="**/", relative=True)
@example(tree=[["s", "b.csv"]], linked=[], pattern="**/./.", relative=False)
def test_a_glob_names_what_pythons_glob_names(
    tree: list[list[str]], linked: list[tuple[str, list[str]]], pattern: str, *, relative: bool
) -> None:
    with tempfile.TemporaryDirectory() as made:
        # Deep enough that no pattern leads out of it, to what other tests write.
        root = Path(made, *"1234")
        root.mkdir(parents=True)
        with chdir(root):
            check_as_glob(root, tree, linked, pattern, relative=relative)


def check_as_glob(
    root: Path, tree: list[list[str]], linked: list[tuple[str, list[str]]], pattern: str, *, relative: bool
) -> None:
    make(root, tree, linked)
    given_input = pattern.lstrip("/") if relative else f"{root}/{pattern}"
    assume(glob.has_magic(pattern) and not Path(given_input).exists())
    matches = glob.iglob(given_input, recursive=True)  # noqa: PTH207 - the measure itself
    # Before 3.12 Python says `a.csv/` to `a.csv/**`, although that is a file and no folder.
    expected = names(Path(match) for match in matches if not match.endswith("/") and Path(match).is_file())
    found = find_files(given_input)
    assert set(found.files) == expected
    assert not found.errors
    assert {source for source in names(all_files(root)) if may_name(given_input, source)} == {
        source for source in expected if ".." not in source
    }


def test_folders_may_be_very_deep(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(600):
        deep /= "d"
        deep.mkdir()
    (deep / "a.csv").touch()
    found = find_files(f"{tmp_path}/**/*.csv").files
    assert list(found) == [source_name(deep / "a.csv")]
    # Remove the folders here: pytest would do it by recursion.
    (deep / "a.csv").unlink()
    while deep != tmp_path:
        deep.rmdir()
        deep = deep.parent


@given(tree=st.lists(files, max_size=8), linked=st.lists(links, max_size=2), relative=st.booleans())
def test_a_folder_names_the_files_that_are_found_in_it(
    tree: list[list[str]], linked: list[tuple[str, list[str]]], *, relative: bool
) -> None:
    with tempfile.TemporaryDirectory() as made, chdir(made):
        make(Path(made), tree, linked)
        given_input = "." if relative else made
        assert {source for source in names(all_files(Path(made))) if may_name(given_input, source)} == set(
            find_files(given_input).files
        )


@pytest.mark.parametrize("given_input", ["{}", "{}/**", "{}/**/*.csv", "{}/*.csv"])
def test_a_path_that_is_no_regular_file_is_left_out_with_a_reason(tmp_path: Path, given_input: str) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "linked.csv").symlink_to(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "pipe-linked.csv").symlink_to(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening, chdir(tmp_path):
        listening.bind("socket.csv")
    found = find_files(given_input.format(tmp_path))
    assert {Path(name).name for name in found.files} == {"a.csv", "linked.csv"}
    assert {Path(name).name: why for name, why in found.left_out.items()} == {
        "pipe.csv": "a named pipe",
        "pipe-linked.csv": "a named pipe",
        "device.csv": "a device",
        "socket.csv": "a socket",
    }


@pytest.mark.parametrize(
    ("given_input", "files", "left_out"),
    [
        ("{}", {"in/a.csv"}, {"in/link": "symbolic link", "in/back": "symbolic link"}),
        ("{}/*/*.csv", {"in/link/b.csv", "in/back/a.csv"}, {}),
        ("{}/**/*.csv", {"in/a.csv", "in/link/b.csv"}, {"in/back": "that it lies in"}),
    ],
)
def test_a_link_to_a_folder_is_left_out_with_a_reason_or_followed_by_a_glob(
    tmp_path: Path, given_input: str, files: set[str], left_out: dict[str, str]
) -> None:
    root = tmp_path / "in"
    for path in (root / "a.csv", tmp_path / "other" / "b.csv"):
        path.parent.mkdir()
        path.touch()
    (root / "link").symlink_to(tmp_path / "other")
    (root / "back").symlink_to(root)
    found = find_files(given_input.format(root))
    assert {os.path.relpath(name, tmp_path) for name in found.files} == files
    assert {os.path.relpath(name, tmp_path) for name in found.left_out} == set(left_out)
    assert all(left_out[os.path.relpath(name, tmp_path)] in why for name, why in found.left_out.items())


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir()
        (tmp_path / one / "x.csv").touch()
        (tmp_path / one / "on").symlink_to(tmp_path / other)
    found = find_files(f"{tmp_path}/**/*.csv")
    assert len(found.files) == 4
    assert set(found.left_out.values()) == {"a symbolic link to a folder that it lies in"}


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [("{}", {"a.csv"}), ("{}/**/*.csv", {"a.csv"}), ("{}/*/*/*.csv", set()), ("{}/out/*/*.csv", {"out/Sex/M.csv"})],
)
def test_a_sink_s_files_are_input_only_if_they_are_named(tmp_path: Path, given_input: str, expected: set[str]) -> None:
    written = tmp_path / "out" / "Sex" / "M.csv"
    written.parent.mkdir(parents=True)
    (tmp_path / "out" / ".nacre").mkdir()
    for path in (tmp_path / "a.csv", written):
        path.touch()
    given_input = given_input.format(tmp_path)
    assert set(find_files(given_input).files) == {str(tmp_path / name) for name in expected}
    assert {name for name in ("a.csv", "out/Sex/M.csv") if may_name(given_input, str(tmp_path / name))} == expected


@pytest.mark.parametrize("pattern", ["", "/*/*.csv", "/**/*.csv", "/known/*.csv"])
def test_a_name_in_a_folder_that_cannot_be_looked_into_is_judged_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    def refuse(path: str, *_: object, **__: object) -> os.stat_result:
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *_, **__)  # type: ignore[arg-type]  # as they were given

    stat = os.stat
    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(os, "lstat", refuse)
    is_named = pattern in {"", "/**/*.csv"}
    assert may_name(f"{tmp_path}{pattern}", f"{tmp_path}/closed/in/a.csv") == is_named
    may_name(f"{tmp_path}/closed{pattern}", f"{tmp_path}/closed/in/a.csv")
    may_name(f"{tmp_path}{pattern}", f"{tmp_path}/{'long' * 100}/a.csv")
    may_name(f"{tmp_path}/{'long' * 100}{pattern}", f"{tmp_path}/{'long' * 100}/a.csv")


def test_a_folder_is_entered_before_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()

    def enter(folder: str) -> None:
        Path(folder, "late.csv").touch()

    for given_input in (str(tmp_path), f"{tmp_path}/**/*.csv"):
        assert set(find_files(given_input, enter).files) == {
            str(tmp_path / "late.csv"),
            str(tmp_path / "s" / "late.csv"),
        }
        for path in all_files(tmp_path):
            path.unlink()


@pytest.mark.parametrize(
    ("given_input", "entered"),
    [
        ("{}/*/log.csv", {"", "/a", "/b"}),
        ("{}/a/*.csv", {"/a"}),
        ("{}/a/gone/sub/*.csv", {"/a"}),
        ("{}/*/gone/*.csv", {"", "/a", "/b"}),
        ("{}/*/s/log.csv", {"", "/a/s", "/b"}),
    ],
)
def test_a_folder_in_which_a_named_file_may_appear_is_entered(
    tmp_path: Path, given_input: str, entered: set[str]
) -> None:
    (tmp_path / "a" / "s").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    folders: list[str] = []
    find_files(given_input.format(tmp_path), folders.append)
    assert {folder.removeprefix(str(tmp_path)) for folder in folders} == entered


def test_no_two_files_have_one_name_and_each_name_leads_to_its_file(tmp_path: Path) -> None:
    texts = (
        b"\xff",
        rb"\xff",
        rb"\x5cxff",
        rb"\x5c",
        rb"\x5c\xff",
        b"\\\xff",
        rb"\xFF",
        "ä".encode(),
        "\udcff".encode("utf-8", "surrogatepass"),
    )
    for text in texts:
        (tmp_path / os.fsdecode(text)).mkdir()
        (tmp_path / os.fsdecode(text) / "a.csv").touch()
    found = find_files(str(tmp_path)).files
    assert len(found) == len(texts)
    assert all(path_of(name) == path and may_name(str(tmp_path), name) for name, path in found.items())
    # As they always were.
    assert {f"{tmp_path}/ä/a.csv", rf"{tmp_path}/\xff/a.csv", rf"{tmp_path}/\xFF/a.csv"} < set(found)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes listing a folder fail, also for root."""
    scandir = os.scandir

    def refuse(folder: Path) -> None:
        def guarded(path: str) -> object:
            if str(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)

    return refuse


@pytest.mark.parametrize("pattern", ["", "/**/*.csv", "/*/*.csv"])
def test_a_folder_that_cannot_be_listed_is_an_error_and_costs_itself_alone(
    tmp_path: Path, refusing: Callable[[Path], None], pattern: str
) -> None:
    for path in (tmp_path / "s" / "a.csv", tmp_path / "t" / "b.csv"):
        path.parent.mkdir()
        path.touch()
    refusing(tmp_path / "s")
    found = find_files(f"{tmp_path}{pattern}")
    assert set(found.files) == {str(tmp_path / "t" / "b.csv")}
    assert [error.filename for error in found.errors] == [str(tmp_path / "s")]


def test_a_file_is_found_under_another_name_in_its_folder_but_not_as_an_editor_s_backup(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    file = look(path).file
    for name, is_found in (("a.csv.1", True), ("a.csv~", False), (".a.csv", True)):
        path = path.rename(path.with_name(name))
        found = look_beside({file: str(path.with_name("a.csv"))})
        assert found == ({file: (source_name(path), look(path))} if is_found else {})
    assert look_beside({file: str(path.with_name("gone") / "a.csv")}) == {}


def test_a_file_is_found_under_another_name_in_a_folder_that_is_not_unicode(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9") / "a.csv"
    path.parent.mkdir()
    path.touch()
    renamed = path.rename(path.with_name("a.csv.1"))
    file = look(renamed).file
    assert look_beside({file: source_name(path)}) == {file: (source_name(renamed), look(renamed))}
