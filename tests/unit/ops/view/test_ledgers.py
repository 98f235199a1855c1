"""What the ledgers say of categories, rejected rows and splits."""

import os
from pathlib import Path

import pytest

from common.protocol.position import digest
from common.protocol.shares import Counted, CountKind
from ops.view.gathering import balance, closes, has_older_rows, rejected_by_reason, safe_rows
from ops.view.ledgers import LedgerReader, SafeRows, read_ledgers
from ops.view.view import NO_ROW_SAFE, CategoryRows, SplitBalance
from services.sink.paths.template import path_rule
from services.sink.rolling.limits import Limits, Rolling
from tests.harness.delivered import change_ledgers, delivered

ROWS = b"Sex,Rings\nM,1\nF,2\n,3\nM,4\nM,none\ntoo,many,fields\n"
ROLLING = Rolling(path_rule("{split}/{category}.csv", rolls=True), Limits(rows=1))


@pytest.fixture(autouse=True)
def _without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def read(folder: Path, **topic_ids: str) -> SafeRows:
    found = read_ledgers(folder / "out", "", topic_ids)
    assert found is not None
    return found


def test_the_largest_categories_come_first_and_none_is_missed(tmp_path: Path) -> None:
    delivered(tmp_path, "*,Sex,Sex+Rings:int", {"a.csv": ROWS})
    found = read(tmp_path)
    assert found.categories == (
        CategoryRows("all", "", 5, 1),
        CategoryRows("Sex", "M", 3, 1),
        *(CategoryRows("Sex", each, 1, 1) for each in ("(empty)", "F")),
        *(CategoryRows("Sex+Rings", each, 1, 1) for each in ("(empty)+3", "F+2", "M+1", "M+4")),
    )
    assert (found.category_count, found.in_files, found.rejected) == (8, 14, 2)


def test_a_category_of_several_schemas_and_of_finished_files_is_one(tmp_path: Path) -> None:
    other = b"Rings,Sex\n1,M\n2,M\n"
    delivered(tmp_path, "Sex", {"a.csv": ROWS, "b.csv": other}, rolling=ROLLING, ends=True)
    found = read(tmp_path)
    assert found.categories[0] == CategoryRows("Sex", "M", 5, 5)
    assert found.category_count == 3


def test_the_balance_closes_and_reasons_are_those_of_the_rejected_rows(tmp_path: Path) -> None:
    delivered(tmp_path, "Sex,Rings:int", {"a.csv": ROWS})
    found = read(tmp_path)
    used = frozenset(map(digest, ("Sex", "Rings")))
    assert list(balance(found, 5, used)) == [
        SplitBalance("Rings", 5, 4, 1, 0, 0),
        SplitBalance("Sex", 5, 5, 0, 0, 0),
    ]
    # One that SPLIT_BY no longer names has nothing to account for.
    assert [each.split for each in balance(found, 5, frozenset([digest("Sex")]))] == ["Sex"]
    assert rejected_by_reason(found.of_rejected) == {("", "fields"): 1, ("Rings", "number"): 1}
    assert safe_rows(found, list(balance(found, 5, used)), rejected_by_ingest=1) == 10
    # Before split's first position it is not known which splits are in use.
    assert safe_rows(found, [], rejected_by_ingest=1) == 10


def test_rows_that_were_rejected_and_sent_again_are_rejected_no_more() -> None:
    rejected = {
        Counted("", CountKind.READ, "field_count"): 3,
        Counted("", CountKind.TAKEN, "field_count"): 2,
        Counted("", CountKind.SENT): 2,
        Counted("Sex", CountKind.READ, "category"): 4,
        Counted("Sex", CountKind.REPLAY, "category"): 1,
        Counted("Sex", CountKind.TAKEN, "category"): 4,
        Counted("Sex", CountKind.SENT): 4,
    }
    assert rejected_by_reason(rejected) == {("", "field_count"): 1, ("Sex", "category"): 1}
    safe = SafeRows(of_files={Counted("Sex"): 6, Counted("Sex", CountKind.REPLAY): 3}, of_rejected=rejected)
    # Of 10 rows and 6 that were sent again, 2 are under way.
    [found] = balance(safe, 10, frozenset([digest("Sex")]))
    assert found == SplitBalance("Sex", 10, 9, 1, 6, 2, 4)
    assert found.rows + found.replayed == (
        found.in_files + found.rejected + found.rejected_and_replayed + found.missing
    )


def test_rows_of_format_1_have_no_balance() -> None:
    upgraded = SafeRows(8, 3, of_files={Counted("Sex"): 6}, of_rejected={Counted("", CountKind.OLDER): 1})
    for safe in (upgraded, SafeRows(8, 3)):
        assert has_older_rows(safe)
        assert not list(balance(safe, 6, frozenset([digest("Sex")])))
        assert safe_rows(safe, [], rejected_by_ingest=1) == 10
    assert not has_older_rows(SafeRows())


def test_more_than_was_read_is_no_balance_that_closes() -> None:
    [found] = balance(SafeRows(of_files={Counted("Sex"): 7}), 6, frozenset([digest("Sex")]))
    assert not closes(found)
    assert (found.missing, found.surplus) == (-1, 1)


def test_a_split_in_use_that_has_no_safe_row_lacks_all_of_them() -> None:
    safe = SafeRows(of_files={Counted("Sex"): 6})
    used = frozenset(map(digest, ("Sex", "Rings")))
    assert list(balance(safe, 6, used)) == [
        SplitBalance("Sex", 6, 6, 0, 0, 0),
        SplitBalance(NO_ROW_SAFE, 6, 0, 0, 0, 6),
    ]
    # Before any row is read, nothing is missing.
    assert not list(balance(SafeRows(), 0, used))


def test_what_is_safe_is_never_more_than_its_balance_has() -> None:
    # A source was begun anew: rejections that are void stay in the files, and a former split's rows stay in theirs.
    safe = SafeRows(9, 5, of_files={Counted("Sex"): 3, Counted("gone"): 6}, of_rejected={Counted("Sex", code="x"): 1})
    lines = list(balance(safe, 4, frozenset([digest("Sex")])))
    assert safe_rows(safe, lines, rejected_by_ingest=0) == 4


def test_ledgers_of_other_topics_or_of_a_newer_version_are_not_at_hand(tmp_path: Path) -> None:
    delivered(tmp_path, "Sex", {"a.csv": ROWS})
    reader = LedgerReader()
    written = [(reader(root, "", {}), reader.latest) for root in (tmp_path / "out", tmp_path)]
    assert written == [((5, 1), read(tmp_path)), (None, None)]
    change_ledgers(tmp_path, "INSERT OR REPLACE INTO partition VALUES ('topic_id', 'one')")
    assert read_ledgers(tmp_path / "out", "", {"categorized": "another"}) is None
    assert reader.trouble == ""
    change_ledgers(tmp_path, "UPDATE tallies SET kind = 'newer'")
    assert reader(tmp_path / "out", "", {}) is None
    assert reader.latest is None
    assert reader.trouble == "a ledger cannot be read: 'newer' is not a valid CountKind"
