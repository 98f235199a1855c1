"""A ledger is complete or does not exist, also at its first start."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.errors import ServiceError
from common.protocol.category_keys import file_key
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import REJECTED_KEY, Changes, Entry

ENTRY = Entry(b"key", "Sex/M.csv", length=11)


def begin(path: Path) -> None:
    ledger = Ledger(path)
    ledger.commit({"next_offset": "7"}, Changes([ENTRY]))
    ledger.close()


@contextmanager
def kept_at_each_statement(folder: Path) -> Iterator[list[Path]]:
    """Copies of the folder before each statement: that is what a kill there leaves."""
    real = sqlite3.connect
    kept: list[Path] = []

    def connect(path: Path, **named: Any) -> sqlite3.Connection:
        def keep(_statement: str) -> None:
            kept.append(folder.with_name(f"{len(kept)}"))
            shutil.copytree(path.parent, kept[-1])

        connection: sqlite3.Connection = real(path, **named)
        connection.set_trace_callback(keep)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        yield kept


def test_a_kill_at_any_statement_leaves_a_ledger_that_opens(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with kept_at_each_statement(folder) as kept:
        begin(folder / "ledger")
    assert len(kept) > 10
    for left in kept:
        begin(left / "ledger")
        ledger = Ledger(left / "ledger")
        assert (ledger.facts(), list(ledger.lengths())) == ({"next_offset": "7"}, [("Sex/M.csv", 11)])
        ledger.close()


def test_a_kill_at_any_statement_of_an_upgrade_leaves_the_old_ledger_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    entries = [
        Entry(file_key("schema", "Sex", ("M",)), "Sex/M.csv", length=11, rows=2),
        Entry(file_key("schema", "Sex", ("F",)), "Sex/F.csv", length=11, rows=3),
        Entry(file_key("schema", "all", ()), "all.csv", length=11, rows=5),
        Entry(REJECTED_KEY, "rejected.csv", length=11, rows=1),
        Entry(file_key("schema", "empty", ()), "empty.csv"),
    ]
    ledger = Ledger(folder / "ledger", 1)
    ledger.commit({"next_offset": "7"}, Changes(entries))
    ledger.close()
    with kept_at_each_statement(folder) as kept:
        Ledger(folder / "ledger").close()
    assert len(kept) > 10
    for left in (*kept, folder):
        ledger = Ledger(left / "ledger")
        assert ledger.facts() == {"next_offset": "7"}
        assert [path for path, _ in ledger.lengths()] == [entry.path for entry in sorted(entries, key=lambda e: e.key)]
        ledger.close()
        with closing(sqlite3.connect(left / "ledger")) as database:
            tallies = database.execute("SELECT source, split, kind, rows FROM tallies ORDER BY split").fetchall()
        # Nobody knows whose rows they are: what is known is how many.
        assert tallies == [("", "", "older", 1), ("", "Sex", "older", 5), ("", "all", "older", 5)]


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    begin(tmp_path / "ledger")
    database = sqlite3.connect(tmp_path / "ledger")
    database.execute("PRAGMA user_version = 1")
    database.close()
    with pytest.raises(ServiceError, match="ledger is of version 1, and this version of sink reads 4"):
        Ledger(tmp_path / "ledger")
