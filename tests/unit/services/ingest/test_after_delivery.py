"""What AFTER_DELIVERY asks of INPUT, and what is no input because of it."""

from pathlib import Path

import pytest

from common.errors import ConfigurationError
from common.settings_reader import make_settings
from services.ingest.after_delivery import (
    check_format,
    check_gone,
    check_input,
    excluded_name,
    find_hindrances,
    input_root,
)
from services.ingest.files.finding import InputError, find_files, look_beside, may_name, source_name
from services.ingest.settings import IngestSettings
from tests.harness.sources import look


def settings_for(given: str | Path, after: str = "keep") -> IngestSettings:
    return make_settings(IngestSettings, {"input": str(given), "after_delivery": after})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    for name in ("a.csv", "deeper/b.csv", "done/c.csv", "done/deeper/d.csv", ".nacre-0123456789ab-1-e.csv"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(b"S\nM\n")
    return made


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("", "."),
        ("/a.csv", "."),
        ("/none.csv", "."),
        ("/*.csv", "."),
        ("/**/*.csv", "."),
        ("/deeper/*.csv", "deeper"),
        ("/*/b.csv", "."),
    ],
)
def test_the_root_of_input_is_above_all_that_it_names(folder: Path, pattern: str, root: str) -> None:
    assert input_root(f"{folder}{pattern}") == (folder / root)


@pytest.mark.parametrize("pattern", ["", "/**", "/**/*.csv", "/*/*.csv", "/**/.*", "/done/*.csv", "/link/*.csv"])
def test_nothing_in_the_folder_of_delivered_files_and_nothing_aside_is_input(folder: Path, pattern: str) -> None:
    (folder / "link").symlink_to(folder / "done")
    given = f"{folder}{pattern}"
    found = find_files(given, without=folder / "done")
    assert {name for name in found.files if "done" in name or "link" in name or "nacre" in name} == set()
    settings = settings_for(folder, f"move:{folder}/done")
    excluded = excluded_name(settings)
    assert excluded == f"{folder}/done"
    for path in folder.rglob("*.csv"):
        is_out = "done" in path.parts or path.name.startswith(".nacre")
        assert not (is_out and may_name(given, source_name(path), excluded))
    assert not any("done" in path for path in found.left_out)


def test_files_set_aside_are_found_as_such_and_followed_by_nobody(folder: Path) -> None:
    [aside] = find_files(str(folder)).aside
    assert aside == f"{folder}/.nacre-0123456789ab-1-e.csv"
    file = look(Path(aside)).file
    assert look_beside({file: f"{folder}/e.csv"}) == {}


def test_a_single_file_may_be_gone_if_its_folder_is_not(folder: Path) -> None:
    assert find_files(f"{folder}/none.csv", may_be_gone=True).files == {}
    with pytest.raises(InputError):
        find_files(f"{folder}/none/none.csv", may_be_gone=True)
    settings = settings_for(folder / "none.csv", "delete")
    check_input(settings)
    check_gone(settings, {f"{folder}/none.csv"})
    with pytest.raises(ConfigurationError, match=r"none\.csv: there is no such file"):
        check_gone(settings, {})
    with pytest.raises(ConfigurationError, match=r"none\.csv: there is no such file"):
        check_input(settings_for(folder / "none.csv"))


@pytest.mark.parametrize(
    ("after", "misfit"),
    [
        ("keep", ""),
        ("delete", ""),
        ("move:{}/done", ""),
        ("move:{}/new/er", ""),
        ("move:{}-done", ""),
        ("move:{}", "holds INPUT itself"),
        ("move:{}/deeper/..", "holds INPUT itself"),
        ("move:{}/..", "holds INPUT itself"),
        ("move:/", "holds INPUT itself"),
        ("move:/proc/x", "is neither below nor beside INPUT"),
        ("move:{}/a.csv", "is no folder"),
        ("move:{}/out/x", "is in an output folder of sink"),
    ],
)
def test_a_folder_that_cannot_take_the_files_is_refused_in_a_line(folder: Path, after: str, misfit: str) -> None:
    (folder / "out" / ".nacre").mkdir(parents=True)
    settings = settings_for(folder, after.format(folder))
    found = find_hindrances(settings, [folder / "a.csv"])
    assert len(found) == bool(misfit)
    assert misfit in "".join(found)
    assert all(line.startswith("AFTER_DELIVERY=") and "\n" not in line for line in found)
    # Nothing was made.
    assert not (folder / "new").exists()


def test_a_stream_cannot_leave() -> None:
    check_input(settings_for("-"))
    for given in ("-", "/dev/stdin"):
        with pytest.raises(ConfigurationError, match="is no file that could leave"):
            check_input(settings_for(given, "delete"))


def test_the_first_format_has_no_receipts(tmp_path: Path) -> None:
    check_format(settings_for(tmp_path), 1)
    check_format(settings_for(tmp_path, "delete"), 2)
    with pytest.raises(ConfigurationError, match="format 1, which has no receipts"):
        check_format(settings_for(tmp_path, "delete"), 1)


def test_anything_else_is_no_setting() -> None:
    with pytest.raises(ConfigurationError, match="is none of keep, delete and move:DIR"):
        settings_for("-", "shred")
