"""`nacre verify --watch`: what is delivered, under way and stuck, by the ledgers and the sizes of given files."""

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ops.verify.command import main
from tests.harness.closed_pipe import into_a_closed_pipe
from tests.harness.delivered import change_ledgers, delivered

HEADER = b"Sex,Rings\n"
SPLITS = "*,Sex"


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that syncs at once."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def watched(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    # Without what the services have logged.
    capsys.readouterr()
    code = main([str(folder / "out"), "--watch", *arguments])
    return code, capsys.readouterr().out.splitlines()


@pytest.fixture
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the watch where it would look again."""

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)


def test_it_ends_once_all_is_delivered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\n", "b.csv": HEADER + b"F,2\ntoo,many,fields\n"})
    assert watched(tmp_path, capsys) == (0, ["2 delivered, 0 under way, 0 stuck"])
    code, [line] = watched(tmp_path, capsys, "--json")
    assert (code, json.loads(line)["delivered"], json.loads(line)["rows_not_safe_yet"]) == (0, 2, 0)


def test_it_looks_again_until_what_is_under_way_has_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\n"})
    other = tmp_path / "in" / "b.csv"
    other.write_bytes(HEADER + b"F,2\n")
    slept: list[float] = []

    def deliver(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            with capsys.disabled(), capture_logs():
                asyncio.run(delivery.deliver(other))

    monkeypatch.setattr("time.sleep", deliver)
    code, lines = watched(tmp_path, capsys, "--source", str(tmp_path / "in"))
    assert code == 0
    # What has not changed is not told again.
    assert lines == [
        "1 delivered, 1 under way, 0 stuck",
        f"under way: {other}: no row of it is safe yet",
        "2 delivered, 0 under way, 0 stuck",
    ]


@pytest.mark.parametrize("is_delivered", [True, False])
def test_it_ends_once_nobody_reads_what_it_prints(tmp_path: Path, *, is_delivered: bool) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\n"})
    given: list[str] = []
    if not is_delivered:
        (tmp_path / "b.csv").write_bytes(HEADER + b"F,2\n")
        given = ["--source", str(tmp_path / "b.csv")]
    assert into_a_closed_pipe("verify", str(tmp_path / "out"), "--watch", *given) == (0 if is_delivered else 75, "")


@pytest.mark.usefixtures("one_look")
def test_a_given_file_that_has_grown_since_is_under_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\n", "b.csv": HEADER + b"F,2\n"})
    given = "--source", str(tmp_path / "in")
    assert watched(tmp_path, capsys, *given) == (0, ["2 delivered, 0 under way, 0 stuck"])
    grown = tmp_path / "in" / "b.csv"
    with grown.open("ab") as file:
        file.write(b"F,3\n")
    code, lines = watched(tmp_path, capsys, *given)
    assert (code, lines[0]) == (75, "1 delivered, 1 under way, 0 stuck")
    assert lines[1].startswith(f"under way: {grown}: it has 18 bytes, and 14 were read up to its latest end; it was ")
    assert watched(tmp_path, capsys, "--source", str(tmp_path / "in" / "a.csv"))[0] == 0
    os.utime(grown, (0, 0))
    # Its last row became safe just now.
    assert watched(tmp_path, capsys, *given)[1][0] == "1 delivered, 1 under way, 0 stuck"
    assert watched(tmp_path, capsys, *given, "--stuck-s", "0")[1][0] == "1 delivered, 0 under way, 1 stuck"


def test_of_a_packed_file_it_is_not_asked_whether_it_has_grown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = gzip.compress(HEADER + b"M,1\n")
    delivered(tmp_path, SPLITS, {"a.csv.gz": packed})
    assert len(packed) > len(HEADER + b"M,1\n")
    assert watched(tmp_path, capsys, "--source", str(tmp_path / "in")) == (0, ["1 delivered, 0 under way, 0 stuck"])


@pytest.mark.usefixtures("one_look")
def test_an_end_that_has_not_come_everywhere_is_under_way_and_stuck_after_a_while(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\nF,2\nI,3\n"})
    # As in ledgers that have none of the rows of this split yet.
    change_ledgers(tmp_path, "DELETE FROM passed WHERE split = 'Sex'")
    change_ledgers(tmp_path, "DELETE FROM tallies WHERE split = 'Sex'")
    code, lines = watched(tmp_path, capsys, "--stuck-s", "1000000000")
    assert code == 75
    assert lines[0] == "0 delivered, 1 under way, 0 stuck"
    assert "3 of 3 rows are not safe yet in split Sex; the oldest was read at least" in lines[1]
    code, lines = watched(tmp_path, capsys, "--stuck-s", "0")
    assert (code, lines[0]) == (75, "0 delivered, 0 under way, 1 stuck")


@pytest.mark.usefixtures("one_look")
def test_sums_that_do_not_add_up_end_it_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\nM,2\n"})
    change_ledgers(tmp_path, "UPDATE passed SET tallies = replace(tallies, ',2,', ',1,') WHERE split = 'Sex'")
    code, lines = watched(tmp_path, capsys)
    assert (code, lines[0]) == (1, "0 delivered, 0 under way, 1 stuck")
    assert "split Sex: 1 in files + 0 rejected are not 2 rows that were read" in lines[1]


@pytest.mark.usefixtures("one_look")
def test_rejections_that_come_before_the_copy_of_an_earlier_end_are_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\ntoo,many,fields\n"})
    # As if that line was read behind the end: ingest's own rejections do not wait for split's copy of it.
    change_ledgers(tmp_path, "UPDATE ends SET ended = json_set(ended, '$.rejected', 0)")
    code, lines = watched(tmp_path, capsys)
    assert (code, lines[0]) == (75, "0 delivered, 1 under way, 0 stuck")
    assert "more rows are rejected for all than before its latest end, and the next end has not come" in lines[1]
    change_ledgers(tmp_path, "UPDATE ends SET ended = json_set(ended, '$.rejected', 2)")
    code, lines = watched(tmp_path, capsys)
    assert (code, lines[0]) == (1, "0 delivered, 0 under way, 1 stuck")
    assert "1 rejected for all, not 2" in lines[1]


def test_sources_that_were_begun_in_format_1_do_not_hold_it_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\n", "b.csv": HEADER + b"F,2\n"})
    older = "UPDATE ends SET ended = json_set(ended, '$.is_older', json('true')) WHERE source LIKE '%/a.csv'"
    change_ledgers(tmp_path, older)
    assert watched(tmp_path, capsys) == (0, ["1 delivered, 0 under way, 0 stuck, 1 begun in format 1"])


@pytest.mark.usefixtures("one_look")
def test_a_split_that_was_removed_before_it_was_filled_does_not_hold_it_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1\nF,2\n"})
    # As if split had passed that end on while it was to fill this split, too. The receipt is without it: it rests.
    change_ledgers(tmp_path, """UPDATE ends SET ended = json_set(ended, '$.split_by', json('["all","Sex","Rings"]'))""")
    assert watched(tmp_path, capsys) == (0, ["1 delivered, 0 under way, 0 stuck"])
    assert main([str(tmp_path / "out")]) == 0
    # Without a receipt nothing shows that no more comes.
    [receipt] = (tmp_path / "out" / "_receipts").rglob("*.json")
    text = receipt.read_bytes()
    receipt.unlink()
    assert watched(tmp_path, capsys)[0] == 75
    # Neither does one of another end, nor of other rows.
    for field in (b'"end": 1', b'"rows": 2'):
        receipt.write_bytes(text.replace(field, field[:-1] + b"3", 1))
        assert watched(tmp_path, capsys)[0] == 75
