"""The balance of each split, from what the ledgers count."""

import pytest

from common.protocol.shares import Counted, CountKind
from ops.report.sums import RejectedSum, SplitSums, Sum, sum_latencies, sum_rejected, sum_splits

REJECTED = 2


def in_files(split: str, rows: int, kind: CountKind = CountKind.READ, ledger: int = 0) -> Sum:
    return ledger, Counted(split, kind), rows


def refused(split: str, rows: int, code: str, kind: CountKind = CountKind.READ) -> Sum:
    return REJECTED, Counted(split, kind, code), rows


def test_rows_of_all_partitions_and_rejected_ones_are_what_was_read() -> None:
    sums = [in_files("S", 5), in_files("S", 6, ledger=1), refused("S", 2, "column"), refused("", 9, "fields")]
    [found] = sum_splits(sums, REJECTED, {"S": 0})
    assert found == SplitSums("S", 13, 0, 11, 2, 0, 0)
    assert found.closes


def test_replays_count_once_as_what_was_sent_and_once_as_what_was_rejected_before() -> None:
    # Three of five rejected rows were sent again: two are in files now, one is rejected for another reason. One that was
    # rejected for every split was sent as well.
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
    [found] = sum_splits(sums, REJECTED, {"S": 0})
    assert found == SplitSums("S", 15, 4, 13, 3, 3, 0)
    assert found.closes
    assert sum_rejected(sums, REJECTED) == [
        RejectedSum("", "fields", 3, 1),
        RejectedSum("S", "column", 1, 0),
        RejectedSum("S", "number", 2, 3),
    ]


@pytest.mark.parametrize(("missing", "sent"), [(4, 0), (0, 2), (4, 2)])
def test_rows_on_their_way_are_missing(missing: int, sent: int) -> None:
    sums = [in_files("S", 10), refused("S", sent, "", CountKind.SENT)]
    [found] = sum_splits(sums, REJECTED, {"S": missing})
    assert (found.read, found.replayed, found.missing) == (10 + missing, sent, missing + sent)
    assert found.read + found.replayed == found.in_files + found.missing
    assert not found.closes


def test_what_is_sent_for_all_splits_is_not_missing_in_one_that_rests() -> None:
    sums = [in_files("old", 10), in_files("S", 11), refused("", 1, "", CountKind.SENT)]
    resting, used = sum_splits(sums, REJECTED, {"S": 0, "zero": 0})[1], sum_splits(sums, REJECTED, {"S": 0})[0]
    assert (resting.split, resting.replayed, resting.closes) == ("old", 0, True)
    assert (used.split, used.missing, used.closes) == ("S", 1, False)


def test_rows_of_format_1_are_in_files_and_nothing_else_is_known_of_them() -> None:
    [found] = sum_splits([in_files("S", 7, CountKind.OLDER), in_files("S", 2)], REJECTED, {"S": 0})
    assert (found.read, found.in_files, found.older, found.closes) == (9, 9, 7, True)


def test_a_split_that_has_nothing_yet_is_there() -> None:
    assert sum_splits([], None, {"S": 3}) == [SplitSums("S", 3, 0, 0, 0, 0, 3)]
    assert sum_rejected([in_files("S", 1)], None) == []


def test_latencies_of_all_sources_add_up() -> None:
    assert sum_latencies([{3: 1, 1: 2}, {}, {3: 4}]) == {1: 2, 3: 5}
