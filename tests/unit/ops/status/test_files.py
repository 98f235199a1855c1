"""What is at hand: how much of a file waits, and how many rows sink's ledgers have."""

import gzip
import os
from contextlib import closing
from pathlib import Path

import pytest

from common.protocol.progress import Progress
from ops.status.files import count_written, is_behind, look_at_files
from ops.status.observation import SeenFile
from services.ingest.files.finding import file_of, source_name
from services.ingest.naming.locations import SourceLocation
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes
from tests.harness.delivered import change_ledgers, delivered

ROWS = b"Sex,Rings\nM,1\nF,2\n"
# Without the time, which would be in the tests' names: two processes that run them side by side must agree on those.
PACKED = gzip.compress(ROWS, mtime=0)
NOW_S = 2e9


def look(
    path: Path, progress: Progress, location: SourceLocation | None = None, settle_s: float = 2
) -> SeenFile | None:
    source = source_name(path)
    known = location or SourceLocation(source, file_of(path.stat()))
    return look_at_files({source: progress}, {source: known}, NOW_S, settle_s).get(source)


@pytest.mark.parametrize(
    ("content", "progress", "seen"),
    [
        (ROWS, Progress(""), SeenFile(18, 18)),
        (ROWS, Progress("", offset=10), SeenFile(18, 8)),
        (ROWS, Progress("", offset=18), SeenFile(18, 0)),
        (ROWS, Progress("", offset=18, ended=True, size=18), SeenFile(18, 0)),
        # A header that waits for its line ending is not read, and the source has ended.
        (ROWS, Progress("", offset=10, ended=True, size=18), SeenFile(18, 0)),
        (ROWS, Progress("", offset=10, ended=True, size=10), SeenFile(18, 8)),
        # Half a row waits for its rest.
        (ROWS + b"I,", Progress("", offset=18), SeenFile(20, 0)),
        (ROWS + b"I,3\rM", Progress("", offset=18), SeenFile(23, 5)),
        (b"", Progress(""), SeenFile(0, 0)),
        (PACKED, Progress("", offset=18), SeenFile(len(PACKED), None, may_wait=True)),
        (
            PACKED,
            Progress("", offset=18, ended=True, size=len(PACKED)),
            SeenFile(len(PACKED), 0),
        ),
    ],
)
def test_what_waits_of_a_file(tmp_path: Path, content: bytes, progress: Progress, seen: SeenFile) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert look(path, progress) == seen


@pytest.mark.parametrize(
    ("settle_s", "rest_s", "may_wait"), [(2, 1, False), (2, 4, False), (2, 5, True), (60, 59, False), (60, 60, True)]
)
def test_a_packed_file_waits_once_ingest_takes_it_for_whole(
    tmp_path: Path, settle_s: float, rest_s: float, *, may_wait: bool
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(PACKED)
    os.utime(path, (NOW_S - rest_s, NOW_S - rest_s))
    seen = look(path, Progress(""), settle_s=settle_s)
    assert seen is not None
    assert (seen.waiting, seen.may_wait) == (None, may_wait)


def test_another_file_at_a_source_s_path_is_not_at_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(ROWS)
    name = source_name(path)
    assert look(path, Progress(""), SourceLocation(name, "1:1")) is None
    assert look(path, Progress(""), SourceLocation(name)) is None
    assert look(path, Progress(""), SourceLocation(f"{name}.1", file_of(path.stat()))) is None


def test_rows_are_counted_by_the_ledgers_of_these_topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    delivered(tmp_path, "*,Sex", {"a.csv": ROWS + b"too,many,fields\n"})
    ledgers = sorted((tmp_path / "out" / ".nacre").glob("*.ledger"))
    prefix, rejected = ledgers[0].name.partition("categorized")[0], 1
    assert count_written(tmp_path / "out", prefix, {}) == (4, rejected)
    assert count_written(tmp_path / "out", "other.", {}) is None
    assert count_written(tmp_path / "none", prefix, {}) is None
    topic = f"{prefix}categorized"
    assert count_written(tmp_path / "out", prefix, {topic: "another"}) == (4, rejected)
    change_ledgers(tmp_path, "INSERT OR REPLACE INTO partition VALUES ('topic_id', 'one')")
    assert count_written(tmp_path / "out", prefix, {topic: "one", f"{prefix}rejected": "one"}) == (4, rejected)
    assert count_written(tmp_path / "out", prefix, {topic: "another"}) is None


def test_a_folder_whose_ledgers_are_behind_what_sink_has_committed_is_not_the_one_that_it_fills(tmp_path: Path) -> None:
    for name in ("a-0", "a-1"):
        make_ledger(tmp_path, name, "7")
    first, second, third = (f".nacre/{name}.ledger" for name in ("a-0", "a-1", "a-2"))
    assert not is_behind(tmp_path, {first: 7, second: 6})
    assert is_behind(tmp_path, {first: 7, second: 8})
    # Of another partition nothing is committed yet.
    assert not is_behind(tmp_path, {first: 7})
    # A sink has filled a partition that this folder has nothing of, or whose ledger is only just begun.
    assert is_behind(tmp_path, {first: 7, third: 1})
    make_ledger(tmp_path, "a-2")
    assert is_behind(tmp_path, {first: 7, third: 1})
    # Without any ledger there is nothing at hand, and one that cannot be read says so itself.
    assert not is_behind(tmp_path / "none", {first: 7})
    (tmp_path / first).write_bytes(b"no database" * 100)
    assert not is_behind(tmp_path, {first: 8})
    # As where the folder may not be searched, or its mount is stale.
    assert not is_behind(tmp_path / ("n" * 300), {first: 8})


def make_ledger(root: Path, name: str, next_offset: str = "") -> None:
    path = root / ".nacre" / f"{name}.ledger"
    path.parent.mkdir(exist_ok=True)
    with closing(Ledger(path)) as ledger:
        ledger.commit({"next_offset": next_offset} if next_offset else {}, Changes([]))
