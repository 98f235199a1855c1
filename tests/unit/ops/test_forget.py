"""`nacre forget` opens no ledger that keeps nothing of sources."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from ops import forget
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes


def make_ledger(root: Path, name: str, version: int) -> Path:
    path = root / ".nacre" / f"{name}.ledger"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".lock").touch()
    with closing(Ledger(path, version)) as ledger:
        ledger.commit({"next_offset": "7"}, Changes([]))
    return path


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        [(version,)] = database.execute("PRAGMA user_version")
    return int(version)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The sources whose records Kafka was asked to delete."""
    found: list[Sequence[str]] = []

    async def note(_settings: object, _root: Path, sources: Sequence[str]) -> None:
        found.append(sources)

    monkeypatch.setattr(forget, "_forget_records", note)
    monkeypatch.delenv("TOPIC_PREFIX", raising=False)
    return found


def test_in_format_1_there_is_nothing_to_forget_and_no_ledger_is_upgraded(
    tmp_path: Path, asked: list[Sequence[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [make_ledger(tmp_path, name, 1) for name in ("nacre.categorized-0", "nacre.rejected-0")]
    code = forget.main(["a.csv", "--output-dir", str(tmp_path)])
    assert [version_of(path) for path in paths] == [3, 3]
    assert (code, asked) == (78, [])
    assert "format 1 keeps nothing of sources" in capsys.readouterr().err


def test_a_ledger_that_no_sink_has_upgraded_yet_stays_as_it_is(tmp_path: Path, asked: list[Sequence[str]]) -> None:
    older, empty = make_ledger(tmp_path, "nacre.categorized-0", 1), tmp_path / ".nacre" / "nacre.categorized-1.ledger"
    empty.touch()
    empty.with_suffix(".lock").touch()
    newer = make_ledger(tmp_path, "nacre.rejected-0", 2)
    assert forget.main(["stdin-a", "--output-dir", str(tmp_path)]) == 1
    assert asked == [["stdin-a"]]
    assert [version_of(path) for path in (older, empty, newer)] == [3, 0, 4]


def test_a_ledger_that_is_none_is_named(
    tmp_path: Path, asked: list[Sequence[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_ledger(tmp_path, "nacre.categorized-0", 2)
    path.write_bytes(b"no database" * 100)
    assert forget.main(["a.csv", "--output-dir", str(tmp_path)]) == 1
    assert asked == []
    assert f"ledger {path} is damaged" in capsys.readouterr().err
