"""The first rows of rejected.csv."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.report.rejected_rows import first_rejected, read_rejected

HEADER = b"source,line,offset,split,code,reason,row"
ROWS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=8)


def content(*rows: tuple[str, bytes]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for reason, row in rows:
        writer.writerow(
            ["/a.csv", "7", "90", "Sex", "fields", reason.encode().decode("latin-1"), row.decode("latin-1")]
        )
    return HEADER + b"\n" + file.getvalue().encode("latin-1")


@given(rows=ROWS, most=st.integers(0, 5))
def test_the_first_rows_are_read_whatever_bytes_they_hold(rows: list[tuple[str, bytes]], most: int) -> None:
    found = read_rejected(iter(content(*rows).decode("latin-1").splitlines(keepends=True)), most)
    assert [(each.reason, each.row) for each in found] == [
        (reason, row.decode(errors="backslashreplace")) for reason, row in rows[:most]
    ]
    assert all((each.source, each.line, each.split, each.code) == ("/a.csv", "7", "Sex", "fields") for each in found)


def test_a_long_row_is_cut_and_its_size_is_known(tmp_path: Path) -> None:
    path = tmp_path / "rejected.csv"
    path.write_bytes(content(("long", b"x" * 5_000_000), ("short", b"y" * 300)))
    long, short = first_rejected(path, path.stat().st_size)
    assert (long.row, long.size, long.is_cut) == ("x" * 300, 5_000_000, True)
    assert (short.row, short.size, short.is_cut) == ("y" * 300, 300, False)


@pytest.mark.parametrize("lacking", [1, 5, 20])
def test_what_the_ledger_does_not_know_yet_is_not_looked_at(tmp_path: Path, lacking: int) -> None:
    path = tmp_path / "rejected.csv"
    safe = content(("first", b"a"))
    path.write_bytes(content(("first", b"a"), ("second", b"b\nb")))
    assert [each.reason for each in first_rejected(path, len(safe))] == ["first"]
    # A half row at the end, of which less than its fields are there.
    assert [each.reason for each in first_rejected(path, len(safe) + lacking)] == ["first"]


def test_rows_that_format_1_wrote_have_no_code() -> None:
    lines = ["source,line,offset,split,reason,row\n", "/a.csv,7,90,,too short,x\n"]
    [found] = read_rejected(iter(lines), 5)
    assert (found.code, found.reason, found.row) == ("", "too short", "x")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", 'source,line,offset,split,reason,row\n"x'])
def test_another_file_has_no_rejected_rows(text: str) -> None:
    assert read_rejected(iter(text.splitlines(keepends=True)), 5) == []
