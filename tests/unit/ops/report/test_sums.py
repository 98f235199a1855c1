"""The balance of each split, from what the ledgers count."""

from collections.abc import Iterable

import pytest

from common.protocol.messages import Ended
from common.protocol.shares import Counted, CountKind
from common.rows.tally import Tally
from ops.report.sums import (
    RejectedSum,
    Sum,
    read_of,
    split_up,
    sum_latencies,
    sum_read,
    sum_rejected,
)
from ops.verify.balance import Balance, Known, Passed, Standing
from ops.view.gathering import closes, named_balance
from ops.view.view import SplitBalance

REJECTED = 2


def in_files(split: str, rows: int, kind: CountKind = CountKind.READ, ledger: int = 0) -> Sum:
    return ledger, Counted(split, kind), rows


def refused(split: str, rows: int, code: str, kind: CountKind = CountKind.READ) -> Sum:
    return REJECTED, Counted(split, kind, code), rows


def known(sums: Iterable[Sum] = (), *passed: Ended) -> Known:
    tallies: dict[int, dict[Counted, Tally]] = {}
    for ledger, counted, rows in sums:
        tallies.setdefault(ledger, {})[counted] = Tally(rows, 0, 0)
    return Known("/a", tallies, [Passed(0, ended.splits[0], 1, ended, {}) for ended in passed], {})


def ended(rows: int, *splits: str) -> Ended:
    return Ended("/a", Tally(rows, 0, 0), 0, 1, number=1, splits=splits, split_by=splits)


def test_rows_of_all_partitions_and_rejected_ones_are_what_was_read() -> None:
    sums = [in_files("S", 5), in_files("S", 6, ledger=1), refused("S", 2, "column"), refused("", 9, "fields")]
    [found] = named_balance(split_up(sums, REJECTED), {"S": 13})
    assert found == SplitBalance("S", 13, 11, 2, 0, 0, 0)
    assert closes(found)


def test_replays_count_once_as_what_was_sent_and_once_as_what_was_rejected_before() -> None:
    # Three of five rejected rows were sent again: two are in files now, one is rejected for another reason. One that
    # was rejected for every split was sent as well.
    sums = [
        in_files("S", 10),
        in_files("S", 3, CountKind.REPLAY),
        refused("S", 5, "number"),
        refused("S", 3, "number", CountKind.TAKEN),
        refused("S", 1, "column", CountKind.REPLAY),
        refused("S", 3, "", CountKind.SENT),
        refused("", 4, "fields"),
        refused("", 1, "fields", CountKind.TAKEN),
        refused("", 1, "", CountKind.SENT),
    ]
    safe = split_up(sums, REJECTED)
    [found] = named_balance(safe, {"S": 15})
    assert found == SplitBalance("S", 15, 13, 3, 4, 0, 3)
    assert closes(found)
    assert sum_rejected(safe.of_rejected) == [
        RejectedSum("", "fields", 3, 1),
        RejectedSum("S", "column", 1, 0),
        RejectedSum("S", "number", 2, 3),
    ]


@pytest.mark.parametrize(("read", "sent"), [(14, 0), (10, 2), (14, 2)])
def test_rows_on_their_way_are_missing(read: int, sent: int) -> None:
    safe = split_up([in_files("S", 10), refused("S", sent, "", CountKind.SENT)], REJECTED)
    [found] = named_balance(safe, {"S": read})
    assert (found.rows, found.replayed, found.missing) == (read, sent, read + sent - 10)
    assert not closes(found)


def test_more_than_was_read_does_not_close() -> None:
    [found] = named_balance(split_up([in_files("S", 11)], REJECTED), {"S": 10})
    assert not closes(found)
    assert found.surplus == 1


def test_a_split_of_which_no_row_is_safe_is_missing_all_of_them() -> None:
    lines = named_balance(split_up([in_files("S", 4)], REJECTED), {"S": 4, "T": 4})
    assert [(each.split, each.in_files, each.missing) for each in lines] == [("S", 4, 0), ("T", 0, 4)]


def test_nothing_is_balanced_of_rows_that_format_1_wrote() -> None:
    assert named_balance(split_up([in_files("S", 7, CountKind.OLDER), in_files("S", 2)], REJECTED), {"S": 2}) == []


def test_what_was_read_is_what_the_latest_end_says_or_what_is_safe_behind_it() -> None:
    sums = [in_files("S", 7), refused("S", 1, "column"), in_files("all", 3), in_files("gone", 9)]
    source = known(sums, ended(5, "S", "all"))
    found = Balance("/a", Standing.UNDER_WAY, ended=ended(5, "S", "all"))
    assert read_of(source, found) == {"S": 8, "all": 5}
    # Before its first end nothing else is known than what is safe.
    assert read_of(known(sums), Balance("/a", Standing.UNDER_WAY)) == {"S": 8, "all": 3, "gone": 9}


def test_forgotten_sources_count_in_the_splits_that_are_in_use() -> None:
    forgotten = known([in_files("S", 4), refused("S", 1, "column"), in_files("gone", 3)])
    assert sum_read([{"S": 2, "all": 2}, {"S": 1}], forgotten) == {"S": 8, "all": 2}


def test_latencies_of_all_sources_add_up() -> None:
    assert sum_latencies([{3: 1, 1: 2}, {}, {3: 4}]) == {1: 2, 3: 5}


def test_of_a_split_that_was_removed_before_it_was_filled_what_is_safe_was_read() -> None:
    found = Balance("/a", Standing.DELIVERED, ended=ended(5, "S", "T", "U"), left_out=frozenset("TU"))
    of_source = known([in_files("S", 5), in_files("T", 2)], ended(5, "S", "T", "U"))
    assert read_of(of_source, found) == {"S": 5, "T": 2}
