import os
from pathlib import Path

import pytest

from services.ingest.files.content import is_source_file
from services.ingest.files.finding import look_at, look_beside, source_name
from services.ingest.naming.locations import Found
from tests.harness.sources import read_to_its_end

CONTENT = b"Sex,Length\nM,1\nF,2\n"


def look(path: Path) -> Found:
    return look_at({"": path})[""]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.csv"
    made.write_bytes(CONTENT)
    return made


def test_a_renamed_file_is_the_source_s_also_when_it_grew(path: Path) -> None:
    progress = read_to_its_end(path)
    renamed = path.rename(path.with_name("b.csv.1"))
    assert is_source_file(look(renamed), progress)
    with renamed.open("ab") as file:
        file.write(b"M,3\n")
    assert is_source_file(look(renamed), progress)


def test_a_file_with_the_same_inode_and_other_content_is_another(path: Path) -> None:
    progress = read_to_its_end(path)
    path.write_bytes(CONTENT.replace(b"M", b"I"))
    assert not is_source_file(look(path), progress)
    path.write_bytes(CONTENT[:-1])
    assert not is_source_file(look(path), progress)


def test_a_file_written_anew_with_the_same_bytes_and_inode_is_another(path: Path) -> None:
    progress = read_to_its_end(path)
    before = path.stat()
    path.write_bytes(CONTENT)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert look(path).file == look(path.rename(path.with_name("b.csv"))).file
    assert not is_source_file(look(path.with_name("b.csv")), progress)


def test_a_file_is_found_beside_its_place_but_not_as_an_editor_s_copy(path: Path) -> None:
    file = look(path).file
    for name, is_found in (("a.csv.1", True), ("a.csv~", False), (".a.csv", True)):
        path = path.rename(path.with_name(name))
        found = look_beside({file: str(path.with_name("a.csv"))})
        assert found == ({file: (source_name(path), look(path))} if is_found else {})
    assert look_beside({file: str(path.with_name("gone") / "a.csv")}) == {}


def test_a_file_is_found_beside_its_place_in_a_folder_that_is_not_unicode(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9") / "a.csv"
    path.parent.mkdir()
    path.touch()
    renamed = path.rename(path.with_name("a.csv.1"))
    file = look(renamed).file
    assert look_beside({file: source_name(path)}) == {file: (source_name(renamed), look(renamed))}
