"""From a look to a view."""

from msgspec.structs import replace

from common.protocol.position import digest
from common.protocol.progress import Progress
from common.protocol.shares import Counted
from common.rows.tally import Tally
from ops.status.figures import figures
from ops.status.observation import Observation, SeenPartition, SeenReceipt
from ops.view.gathering import oldest_unsafe_s, view_of
from ops.view.ledgers import SafeRows
from ops.view.view import MOST_RECEIPTS

AT_MS = 1_700_000_000_000


def look(*partitions: SeenPartition, **receipts: SeenReceipt | None) -> Observation:
    by_stage = {"split": partitions[:1], "sink": partitions[1:]}
    return Observation(1.0, AT_MS, partitions=by_stage, receipts=receipts)


def waiting(rows: int, age_ms: int | None) -> SeenPartition:
    return SeenPartition("rows", 0, 0, 9, rows, oldest_ms=None if age_ms is None else AT_MS - age_ms)


def test_the_oldest_row_of_all_stages_and_partitions_counts() -> None:
    assert oldest_unsafe_s(look()) == 0.0
    assert oldest_unsafe_s(look(waiting(0, None), waiting(0, None))) == 0.0
    assert oldest_unsafe_s(look(waiting(1, 500), waiting(2, 7_000), waiting(3, 20))) == 7.0
    # Of too many that wait, some are not read: what is known is at least as old.
    assert oldest_unsafe_s(look(waiting(1, None), waiting(2, 7_000))) == 7.0
    assert oldest_unsafe_s(look(waiting(1, None))) is None
    # Another machine's clock may be ahead.
    assert oldest_unsafe_s(look(waiting(1, -500))) == 0.0


def test_the_latest_receipts_come_first_and_all_that_hold_are_counted() -> None:
    receipts = {f"/{number:03}": SeenReceipt(1, 5, 1, number, 2, 3) for number in range(MOST_RECEIPTS + 5)}
    found = look(**receipts, gone=None)
    view = view_of(figures(found), found, None)
    assert view.receipt_count == MOST_RECEIPTS + 5
    assert [each.safe_ms for each in view.receipts] == list(range(MOST_RECEIPTS + 4, 4, -1))
    assert (view.receipts[0].source, view.receipts[0].rows, view.receipts[0].rejected) == ("/104", 5, 1)


def test_without_ledgers_what_they_would_say_is_not_known() -> None:
    view = view_of(figures(look()), look(), None)
    assert (view.safe_rows, view.category_count, view.categories, view.balance) == (None, None, (), ())


def test_more_than_was_read_is_said_once_nothing_moves() -> None:
    # While rows move, ledgers may be ahead of what Kafka shows as read.
    source = {"/a": Progress("/a", tally=Tally(6), ended=True, format=2)}
    still = replace(look(), sources=source, splits=frozenset([digest("Sex")]))
    before = replace(still, at_s=0.0, sources={"/a": Progress("/a", tally=Tally(5), format=2)})
    safe = SafeRows(7, of_files={Counted("Sex"): 7})
    [moving] = view_of(figures(still, before), still, safe).balance
    assert (moving.rows, moving.missing, moving.in_files) == (7, 0, 7)
    for earlier in (None, replace(still, at_s=0.0)):
        [resting] = view_of(figures(still, earlier), still, safe).balance
        assert (resting.rows, resting.surplus) == (6, 1)


def test_rows_that_are_missing_once_nothing_moves_or_waits_are_lost() -> None:
    source = {"/a": Progress("/a", tally=Tally(6), ended=True, format=2)}
    still = replace(look(), sources=source, splits=frozenset([digest("Sex")]))
    safe = SafeRows(4, of_files={Counted("Sex"): 4})

    def lost(now: Observation, before: Observation | None) -> tuple[int, int]:
        [balance] = view_of(figures(now, before), now, safe).balance
        return balance.missing, balance.lost

    earlier = replace(still, at_s=0.0)
    assert lost(still, earlier) == (2, 2)
    # The first look cannot tell whether they move.
    assert lost(still, None) == (2, 0)
    assert lost(still, replace(earlier, sources={"/a": Progress("/a", tally=Tally(5), format=2)})) == (2, 0)
    # One that waits may be what is missing.
    waits = {"sink": (waiting(2, 100),)}
    assert lost(replace(still, partitions=waits), replace(earlier, partitions=waits)) == (2, 0)
