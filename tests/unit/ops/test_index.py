import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from common.protocol.category_keys import file_key
from ops.index import main
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes, Entry
from services.sink.paths.names import file_path

Lines = list[dict[str, object]]


def entry_of(*category: str | None, rows: int = 0) -> Entry:
    return Entry(file_key("5c4e3a", "s", category), file_path("s", category, 1), 4 * rows, rows)


def index_of(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Lines:
    assert main([str(folder)]) == 0
    return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    hidden = tmp_path / ".nacre"
    hidden.mkdir()
    return hidden


def test_a_file_is_mapped_back_to_its_category_also_when_its_name_was_cut(
    hidden: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    long = "é/" * 5_000
    first, second = Ledger(hidden / "t-0.ledger"), Ledger(hidden / "t-1.ledger")
    first.commit({}, Changes([entry_of(None, "\0\n", rows=2), entry_of(long, rows=1)]))
    second.commit({}, Changes([Entry(b"rejected", "rejected.csv", 7, 1)]))
    common = {"split": "s", "schema": "5c4e3a", "finished": False}
    expected: Lines = [
        {"path": entry_of(long).path, "category": [long], "rows": 1, "bytes": 4, **common},
        {"path": "s/~empty/%00%0A.csv", "category": [None, "\0\n"], "rows": 2, "bytes": 8, **common},
        {
            "path": "rejected.csv",
            "category": None,
            "rows": 1,
            "bytes": 7,
            "split": None,
            "schema": None,
            "finished": False,
        },
    ]

    def by_path(lines: Lines) -> Lines:
        return sorted(lines, key=lambda line: str(line["path"]))

    # While a sink has the ledgers open, and after it has closed them.
    assert by_path(index_of(hidden.parent, capfdbinary)) == by_path(expected)
    first.close()
    second.close()
    assert by_path(index_of(hidden.parent, capfdbinary)) == by_path(expected)
    # Reading leaves no file behind.
    assert sorted(path.name for path in hidden.iterdir()) == ["t-0.ledger", "t-1.ledger"]


@pytest.mark.parametrize("closes", ["before", "behind"])
def test_a_sink_that_closes_a_ledger_while_it_is_read_leaves_one_file(
    hidden: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, closes: str
) -> None:
    ledger = Ledger(hidden / "t-0.ledger")
    ledger.commit({}, Changes([entry_of("a", rows=1)]))
    connect = sqlite3.connect

    def connect_meanwhile(path: str, *, uri: bool) -> sqlite3.Connection:
        if closes == "before":
            ledger.close()
        reading = connect(path, uri=uri)
        # A connection reads the ledger only from its first query on.
        reading.execute("SELECT 1 FROM sqlite_master").fetchall()
        ledger.close()
        return reading

    monkeypatch.setattr(sqlite3, "connect", connect_meanwhile)
    assert [line["category"] for line in index_of(hidden.parent, capfdbinary)] == [["a"]]
    assert [path.name for path in hidden.iterdir()] == ["t-0.ledger"]


def test_each_of_many_files_is_listed_once(hidden: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ledger = Ledger(hidden / "t-0.ledger")
    ledger.commit({}, Changes([entry_of(f"{number}") for number in range(2_500)]))
    told = [line["category"] for line in index_of(hidden.parent, capfdbinary)]
    assert sorted(told, key=str) == sorted(([f"{number}"] for number in range(2_500)), key=str)
    ledger.close()


def test_a_ledger_that_is_being_created_has_no_files(hidden: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    hidden.joinpath("t-0.ledger").touch()
    assert index_of(hidden.parent, capfdbinary) == []


@pytest.mark.parametrize("content", [None, b"no ledger\n" * 1_000])
def test_a_ledger_that_cannot_be_read_is_reported_in_one_line(
    hidden: Path, capfdbinary: pytest.CaptureFixture[bytes], content: bytes | None
) -> None:
    if content is not None:
        hidden.joinpath("t-0.ledger").write_bytes(content)
    assert main([str(hidden.parent)]) == 1
    [line] = capfdbinary.readouterr().err.decode().splitlines()
    assert str(hidden.parent) in line


def test_a_reader_that_closes_the_pipe_ends_the_command_without_an_error(hidden: Path) -> None:
    ledger = Ledger(hidden / "t-0.ledger")
    ledger.commit({}, Changes([entry_of(f"{number}") for number in range(2_000)]))
    ledger.close()
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ops", "index", str(hidden.parent)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
