"""Which splits a source's receipt leaves out for good."""

from collections.abc import Mapping, Sequence

import pytest

from common.protocol.messages import Ended
from common.protocol.receipts import Delivered, Receipt, Rejections
from common.protocol.shares import EVERY_SPLIT
from common.rows.tally import NOTHING, Tally
from ops.verify.balance import Known, Passed, Standing, balance

ROWS = Tally(2, 8, 5)
REJECTED = 2


def known(split_by: Mapping[int, Sequence[str]], passed: Mapping[int, Sequence[str]]) -> Known:
    """A source of no row whose end these splits have passed, by ledger, in each of which it names others."""
    return Known(
        "/a",
        {},
        [
            Passed(ledger, split, 1, Ended("/a", NOTHING, 0, 1, 1, 14, splits=(split,), split_by=tuple(named)), {})
            for ledger, named in split_by.items()
            for split in passed[ledger]
        ],
        dict.fromkeys(split_by, 0),
    )


def receipt(*splits: str, number: int = 1, size: int = 14, tally: Tally = NOTHING) -> Receipt:
    delivered = {split: Delivered(NOTHING, Rejections()) for split in splits}
    return Receipt("/a", number, size, tally, "csv", Rejections(), delivered, 0, None, None, "", "", "")


def everywhere(*splits: str) -> dict[int, Sequence[str]]:
    return {0: splits, 1: splits, REJECTED: (*splits, EVERY_SPLIT)}


def standing(found: Known, issued: Receipt | None) -> Standing:
    return balance(found, range(3), REJECTED, issued).standing


def test_a_split_that_the_end_names_and_its_receipt_does_not_is_not_waited_for() -> None:
    found = known(dict.fromkeys(range(3), ("Sex", "X")), everywhere("Sex"))
    assert standing(found, receipt("Sex")) is Standing.DELIVERED
    assert balance(found, range(3), REJECTED, receipt("Sex")).left_out == {"X"}
    # As after a fill that was stopped between two ledgers.
    begun = known(dict.fromkeys(range(3), ("Sex", "X")), {**everywhere("Sex"), 1: ("Sex", "X")})
    assert standing(begun, receipt("Sex")) is Standing.DELIVERED


@pytest.mark.parametrize(
    "issued",
    [
        None,
        receipt("Sex", number=2),
        receipt("Sex", size=15),
        receipt("Sex", tally=ROWS),
        receipt("Sex", "X"),
    ],
)
def test_without_a_receipt_of_this_end_it_is(issued: Receipt | None) -> None:
    found = known(dict.fromkeys(range(3), ("Sex", "X")), everywhere("Sex"))
    assert standing(found, issued) is Standing.UNDER_WAY


def test_one_that_was_added_since_the_receipt_is_waited_for() -> None:
    # Only the copies of the end that fill it name it.
    first = {0: ("Sex", "X"), 1: ("Sex",), REJECTED: ("Sex",)}
    assert standing(known(first, {**everywhere("Sex"), 0: ("Sex", "X")}), receipt("Sex")) is Standing.UNDER_WAY
    # Those that fill another one, which was added before, name it as well.
    named = dict.fromkeys(range(3), ("Sex", "Y", "X"))
    assert standing(known(named, everywhere("Sex", "Y")), receipt("Sex")) is Standing.UNDER_WAY
    # That one is filled, and the receipt is without the second: it was removed.
    assert standing(known(named, everywhere("Sex", "Y")), receipt("Sex", "Y")) is Standing.DELIVERED
