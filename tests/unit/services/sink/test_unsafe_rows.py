"""Rows are received as they are appended, and sent once a checkpoint has made them safe."""

from common.counts import Counts, Durations, PartitionCounts
from services.sink.tallies.latencies import durations_of
from services.sink.unsafe_rows import Safe, UnsafeRows

SAFE = Safe(0.25, Durations())


class Counted:
    def __init__(self, *, are_rejections: bool = False) -> None:
        self.counts, self.held = Counts(), PartitionCounts()
        self.rows = UnsafeRows(self.counts, self.held, are_rejections=are_rejections)

    def append(self, rows: int, since_ms: int) -> None:
        """Rows come, and are appended."""
        self.rows.expect(since_ms)
        self.rows.append(rows)

    @property
    def state(self) -> tuple[int, int, int]:
        """How many rows were received and sent, and since when the oldest unsafe one is under way."""
        return self.counts.rows.received, self.counts.rows.sent, self.held.unsafe_since_ms


def test_rows_are_sent_with_the_checkpoint_that_covers_them() -> None:
    counted = Counted()
    counted.append(5, 1_000)
    counted.append(2, 900)
    assert counted.state == (7, 0, 900)
    counted.rows.begin_checkpoint()
    counted.append(3, 2_000)
    assert counted.state == (10, 0, 900)
    counted.rows.end_checkpoint(SAFE)
    assert counted.state == (10, 7, 2_000)
    counted.rows.begin_checkpoint()
    counted.rows.end_checkpoint(SAFE)
    assert counted.state == (10, 10, 0)
    assert (sum(counted.counts.checkpoints.counts), counted.counts.checkpoints.total_s) == (2, 0.5)


def test_rows_that_are_expected_are_unsafe_even_if_they_cannot_be_appended() -> None:
    counted = Counted()
    counted.rows.expect(1_000)
    assert counted.state == (0, 0, 1_000)


def test_rows_of_a_checkpoint_that_was_given_up_are_not_sent() -> None:
    counted = Counted()
    counted.append(5, 1_000)
    counted.rows.begin_checkpoint()
    counted.rows.end_checkpoint(Safe())
    assert counted.state == (5, 0, 0)
    assert sum(counted.counts.checkpoints.counts) == 0


def test_rejections_are_no_rows() -> None:
    counted = Counted(are_rejections=True)
    counted.append(5, 0)
    counted.rows.begin_checkpoint()
    counted.rows.end_checkpoint(SAFE)
    assert counted.state == (0, 0, 0)
    assert sum(counted.counts.checkpoints.counts) == 1


def test_each_row_has_the_latency_of_when_it_was_read() -> None:
    # A clock that was set back makes no latency less than none.
    found = durations_of([{9_000: 4, 9_980: 6}, {10_500: 1}], 10_000)
    expected = Durations()
    for seconds, rows in ((1.0, 4), (0.02, 6), (0.0, 1)):
        expected.add(seconds, rows)
    assert found == expected
