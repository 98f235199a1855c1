"""A ledger is complete or does not exist, also at its first start."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from common.errors import ServiceError
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes, Entry

ENTRY = Entry(b"key", "Sex/M.csv", length=11)


def begin(path: Path) -> None:
    ledger = Ledger(path)
    ledger.commit({"next_offset": "7"}, Changes([ENTRY]))
    ledger.close()


def test_a_kill_at_any_statement_leaves_a_ledger_that_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is copied before each statement: that is what a kill there leaves."""
    real = sqlite3.connect
    kept: list[Path] = []

    def connect(path: Path, **named: Any) -> sqlite3.Connection:
        def keep(_statement: str) -> None:
            kept.append(tmp_path / f"{len(kept)}")
            shutil.copytree(path.parent, kept[-1])

        connection: sqlite3.Connection = real(path, **named)
        connection.set_trace_callback(keep)
        return connection

    folder = tmp_path / "folder"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        begin(folder / "ledger")
    assert len(kept) > 10
    for left in kept:
        begin(left / "ledger")
        ledger = Ledger(left / "ledger")
        assert (ledger.facts(), list(ledger.lengths())) == ({"next_offset": "7"}, [("Sex/M.csv", 11)])
        ledger.close()


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    begin(tmp_path / "ledger")
    database = sqlite3.connect(tmp_path / "ledger")
    database.execute("PRAGMA user_version = 1")
    database.close()
    with pytest.raises(ServiceError, match="ledger is of another version"):
        Ledger(tmp_path / "ledger")
