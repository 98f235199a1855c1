"""How long what came is gathered before it is committed."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from common.kafka.pace import Pace

MIB = 2**20


@dataclass
class Gathered:
    """What a partition has gathered."""

    size: int
    began: float = 0.0


def test_little_is_committed_at_once_and_much_after_the_interval() -> None:
    pace = Pace(0.1)
    little, much = Gathered(60 * 100), Gathered(2 * MIB)
    for outbox in (little, much):
        pace.begin("p", outbox)
        # 100 rows in 10 ms are 10,000 a second.
        assert (pace.left_s(outbox, 0.01, busy=False) <= 0) == (outbox is little)
        assert pace.left_s(outbox, 0.1, busy=False) <= 0


def test_a_burst_waits_no_longer_than_it_would_take_to_come_slowly() -> None:
    pace, burst = Pace(10.0), Gathered(MIB)
    pace.begin("p", burst)
    assert pace.left_s(burst, 0.0, busy=False) == 0.25


def test_a_commit_under_way_is_waited_for_only_after_the_interval() -> None:
    pace, little = Pace(0.1), Gathered(100)
    pace.begin("p", little)
    assert pace.left_s(little, 0.05, busy=True) > 0
    assert pace.left_s(little, 0.1, busy=True) <= 0


@given(st.lists(st.integers(0, 20 * MIB), min_size=1, max_size=12))
def test_when_all_have_gathered_too_much_the_largest_is_due_however_long_the_interval_is(sizes: list[int]) -> None:
    pace, outboxes = Pace(3600.0), [Gathered(size) for size in sizes]
    for number, outbox in enumerate(outboxes):
        pace.begin(number, outbox)
    largest = max(outboxes, key=lambda outbox: outbox.size)
    assert (pace.left_s(largest, 0.0, busy=True) <= 0) == (sum(sizes) >= 12 * MIB)
    for number in range(len(outboxes)):
        pace.end(number)
    pace.begin("another", Gathered(0))
    assert pace.left_s(largest, 0.0, busy=True) > 0
