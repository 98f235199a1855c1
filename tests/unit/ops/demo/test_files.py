"""The demo empties only its own folder, repeats rows, and reads back what was written."""

from pathlib import Path

import pytest

from ops.demo.files import DemoError, check, count_input, own_folder, read_back, repeat_rows
from services.split.categories.splits import parse_split_by


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_folder_that_a_demo_has_made_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "demo"
    for _ in range(2):
        with own_folder(folder):
            assert not list(folder.rglob("*.csv"))
            write(folder, all_csv="a\n1\n", Sex__M_csv="a\n1\n")
    assert (folder / "all.csv").exists()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    with own_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".nacre"]


@pytest.mark.parametrize("theirs", ["notes.txt", ".nacre/nacre.categorized-0.ledger"])
def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path, theirs: str) -> None:
    write(tmp_path, **{theirs: "theirs"})
    with pytest.raises(DemoError, match="not a demo"), own_folder(tmp_path):
        pass
    assert (tmp_path / theirs).read_text() == "theirs"


def test_a_file_in_the_folder_s_place_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, out="a file")
    with pytest.raises(DemoError, match="not a folder"), own_folder(tmp_path / "out"):
        pass


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with own_folder(tmp_path):
        with pytest.raises(DemoError, match="another demo is running"), own_folder(tmp_path):
            pass
        assert (tmp_path / ".nacre").exists()
    with own_folder(tmp_path):
        pass


@pytest.mark.parametrize(
    ("data", "rows", "repeated"),
    [
        (b"a\n1\n2\n", 5, b"a\n1\n2\n1\n2\n1\n"),
        (b"a\n1\n2\n", 1, b"a\n1\n"),
        (b"a\r\n1\r\n2", 4, b"a\r\n1\r\n2\r\n1\r\n2\r\n"),
        (b'a\n"1\n1"\n2\n', 3, b'a\n"1\n1"\n2\n"1\n1"\n'),
        (b"a\r1\r", 2, b"a\r1\r1\r"),
    ],
)
def test_rows_are_repeated(data: bytes, rows: int, repeated: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"".join(repeat_rows(data, rows)))
    assert path.read_bytes() == repeated
    assert count_input(path) == rows


@pytest.mark.parametrize("data", [b"", b"a\n"])
def test_an_input_without_rows_cannot_be_repeated(data: bytes) -> None:
    with pytest.raises(DemoError, match="no rows"):
        list(repeat_rows(data, 3))


def test_files_are_read_back_to_their_splits_and_categories(tmp_path: Path) -> None:
    write(
        tmp_path,
        all_csv="a\n1\n2\n",
        Sex__M_csv="a\n1\n",
        rejected_csv="source,line,offset,split,reason,row\ns,2,2,Sex,why,x\n",
    )
    write(tmp_path, **{"Sex/~empty.csv": "a\n", "Sex+a%2Fb/M/9.csv": "a\n1\n", f"Sex/x~{'0' * 32}.csv": "a\n2\n"})
    files, [rejected] = read_back(tmp_path, parse_split_by("*,Sex,Sex+a/b"))
    assert {(file.split, file.category, file.rows.count) for file in files} == {
        ("all", "", 2),
        ("Sex", "M", 1),
        ("Sex", "(empty)", 0),
        ("Sex", f"x~{'0' * 32}", 1),
        ("Sex+a/b", "M+9", 1),
    }
    assert (rejected.split, rejected.offset, rejected.raw) == ("Sex", 2, b"x")


def test_a_file_that_belongs_to_no_split_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, Rings__9_csv="a\n")
    with pytest.raises(DemoError, match="belongs to no split"):
        read_back(tmp_path, parse_split_by("Sex"))


def test_the_whole_is_checked(tmp_path: Path) -> None:
    write(tmp_path, all_csv="a\n1\n2\n", mine_csv="a\n2\n1\n")
    files, findings = check(b"a\n1\n2\n", "in.csv", "/in.csv", tmp_path, parse_split_by("*,mine=*"))
    assert len(files) == 2
    assert [finding.holds for finding in findings] == [True, True, True, False, False]
    # The same rows in another order are not the input.
    assert findings[-2].text.endswith("mine.csv does NOT equal in.csv")
    assert findings[-1].text.endswith("_receipts/in.csv.json does not exist: in.csv is not delivered")
