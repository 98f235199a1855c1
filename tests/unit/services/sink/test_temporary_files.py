"""Very many sources and categories where SQLite has no folder for temporary files, as in a read-only container."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from common.batches.record_runs import Record
from common.errors import ServiceError
from common.protocol.category_keys import file_key
from common.protocol.messages import Ended
from common.protocol.shares import Share, Snapshot, encode_share
from common.rows.tally import Tally
from services.sink.disk.errors import DiskError
from services.sink.disk.temporary import open_temporary
from services.sink.folder_proofs.listing import ManifestListing
from services.sink.ledger import sql
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Sums
from services.sink.ledger.inventory import sum_tallies
from services.sink.ledger.largest import largest_categories
from services.sink.receipts.issuing import Shares
from tests.harness.temporary_folders import no_temporary_files

SOURCES = 20_000
CATEGORIES = 40_000
MANY_SHARES = 5_000
AN_END = Snapshot(Ended("x", Tally(), 0, 1, number=1), {})


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An output folder, in a process without temporary files."""
    root = tmp_path / "out"
    root.joinpath(".nacre").mkdir(parents=True)
    with no_temporary_files(tmp_path):
        yield root


def shares(count: int) -> Iterator[Record]:
    """Shares of 700 bytes and more, two of each source."""
    for number in range(count):
        share = Share("x" * 600 + f"{number // 2}", f"categorized-{number % 2}", "f00", number, (AN_END,))
        yield Record(number, share.key, encode_share(share), [])


def read(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


def fill(path: Path, version: int, statement: str, rows: Iterator[tuple[object, ...]]) -> None:
    """Make a ledger with these rows in a table."""
    Ledger(path, version).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(statement, rows)


def categories(count: int) -> Iterator[tuple[object, ...]]:
    """Open files: each schema has every category, with a row more than the one before."""
    for number in range(count):
        key = file_key(f"{number % 2}", "Sex", (f"a category of some length {number // 2:07}",))
        yield key, 1, f"{number}.csv", "", 1, number // 2 + 1, 0, 0, None, None


def test_shares_of_very_many_sources(root: Path) -> None:
    held = Shares(root)
    assert list(root.rglob("*temporary*")) == []
    assert len(held.take(shares(MANY_SHARES), {}, "f00")) == MANY_SHARES // 2
    # Newer ones replace them.
    held.take(shares(MANY_SHARES), {}, "f00")
    last = [record.value for record in shares(MANY_SHARES)][-2:]
    source = "x" * 600 + f"{MANY_SHARES // 2 - 1}"
    assert (held.count(source), held.of(source)) == (2, last)
    held.close()


def test_a_manifest_of_very_many_files(root: Path) -> None:
    listing = ManifestListing(root)
    key = file_key("schema", "Sex", ("M",))
    listing.add((key, f"Sex/{number:07}.csv", Sums(number, f"{number:064x}")) for number in range(CATEGORIES))
    assert len(listing) == CATEGORIES
    assert listing.schemas() == ["schema"]
    assert list(listing.lines())[-1] == f"{CATEGORIES - 1:064x}  Sex/{CATEGORIES - 1:07}.csv\n".encode()
    assert sum(1 for _ in listing.resources({"schema": b""})) == CATEGORIES
    listing.close()


def test_the_shares_of_very_many_sources_are_issued_anew(root: Path) -> None:
    path = root / ".nacre" / "categorized-0.ledger"
    fill(path, 2, sql.SET_SOURCE, ((f"source {number:050}", "[]", "{}", 0, 1) for number in range(SOURCES)))
    with closing(sqlite3.connect(path)) as database, database:
        passed = ((f"source {number:050}", split, 1, 1, "[]") for number in range(1, SOURCES) for split in "ab")
        database.executemany(sql.SET_PASSED, passed)
    ledger = Ledger(path)
    ledger.share_all()
    ledger.close()
    # One has not ended.
    assert read(path, "SELECT count(*) FROM sources WHERE is_shared = 0") == [(SOURCES - 1,)]


def test_an_upgrade_of_very_many_categories(root: Path) -> None:
    path = root / ".nacre" / "categorized-0.ledger"
    fill(path, 1, sql.SET_FILE, categories(CATEGORIES))
    Ledger(path, 2).close()
    expected = sum(number // 2 + 1 for number in range(CATEGORIES))
    assert read(path, "SELECT split, kind, rows FROM tallies") == [("Sex", "older", expected)]


def test_the_largest_of_very_many_categories(root: Path) -> None:
    path = root / ".nacre" / "categorized-0.ledger"
    fill(path, 2, sql.SET_FILE, categories(CATEGORIES))
    found = largest_categories(path, 2)
    names = [(f"a category of some length {number:07}",) for number in (CATEGORIES // 2 - 1, CATEGORIES // 2 - 2)]
    assert found.largest == (("Sex", names[0], CATEGORIES, 2), ("Sex", names[1], CATEGORIES - 2, 2))
    assert (found.count, found.rows) == (CATEGORIES // 2, sum(number // 2 + 1 for number in range(CATEGORIES)))


def test_the_tallies_of_very_many_sources(root: Path) -> None:
    path = root / ".nacre" / "categorized-0.ledger"
    tallies = (
        (f"source {number:050}", split, "read", "", 2, 2, "0" * 16) for number in range(CATEGORIES) for split in "ab"
    )
    fill(path, 2, sql.SET_TALLY, tallies)
    assert sum_tallies(path) == [(split, "read", "", 2 * CATEGORIES) for split in "ab"]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond this size: to it, the disk fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_is_waited_for(root: Path) -> None:
    held, listing = Shares(root), ManifestListing(root)
    key = file_key("schema", "Sex", ("M",))
    with files_end_at(100_000):
        with pytest.raises(DiskError, match=r"temporary file in .*sink goes on by itself"):
            held.take(shares(MANY_SHARES), {}, "f00")
        with pytest.raises(DiskError, match=r"temporary file in .*sink goes on by itself"):
            listing.add((key, f"{number:0100}.csv", Sums(1, "0" * 64)) for number in range(CATEGORIES))
    held.close()
    listing.close()
    # The next session begins anew.
    held = Shares(root)
    assert len(held.take(shares(MANY_SHARES), {}, "f00")) == MANY_SHARES // 2
    held.close()


def test_what_a_killed_sink_has_left_is_removed_by_the_next(root: Path) -> None:
    left = root / ".nacre" / "temporary-0123.tmp"
    ledger = root / ".nacre" / "temporary-categorized-0.ledger"
    for path in (left, ledger):
        path.touch()
    open_temporary(root, "CREATE TABLE one (value)").close()
    assert list((root / ".nacre").iterdir()) == [ledger]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    for name in ("elsewhere", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "out" / ".nacre").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ServiceError, match="symbolic link"):
        open_temporary(tmp_path / "out", "")
    assert list((tmp_path / "elsewhere").iterdir()) == []
