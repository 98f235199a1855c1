"""What a service counts of its work, in plain numbers: its loop alone writes them, and any thread may read them."""

from bisect import bisect_left
from collections.abc import Callable, Collection

from msgspec import Struct, field

# In seconds.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

# A topic and the number of a partition in it, as aiokafka's TopicPartition.
PartitionKey = tuple[str, int]


class Durations(Struct):
    """How often something took how long: `counts` has one for each of BOUNDS, and one for all that took longer."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total_s: float = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count something that took so long, so many times."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.total_s += seconds * times

    def add_all(self, others: "Durations") -> None:
        """Count these as well."""
        self.counts = [one + other for one, other in zip(self.counts, others.counts, strict=True)]
        self.total_s += others.total_s


class RowCounts(Struct):
    """Rows that came in, that went out, and that were rejected, by split ("" for every one) and code."""

    received: int = 0
    sent: int = 0
    rejected: dict[tuple[str, str], int] = field(default_factory=dict)

    def reject(self, split: str, code: str, times: int = 1) -> None:
        """Count rejections."""
        self.rejected[split, code] = self.rejected.get((split, code), 0) + times

    def add_all(self, others: "RowCounts") -> None:
        """Count these as well."""
        self.received += others.received
        self.sent += others.sent
        for (split, code), times in others.rejected.items():
            self.reject(split, code, times)


class PartitionCounts(Struct):
    """The work of a partition that is not done, as its task last saw it.

    `lag_rows`: records behind its position. `unsafe_since_ms`: when the oldest row that sink has and that is not safe
    yet was read, in ms since 1970; 0 if there is none. `source_bytes`: how much is read of the files under way, and how
    large they are; it may be called from any thread.
    """

    lag_rows: int = 0
    unsafe_since_ms: int = 0
    open_files: int = 0
    source_bytes: Callable[[], tuple[int, int]] = lambda: (0, 0)


class Counts(Struct):
    """What one service has counted since its process began; `not_ready` says why it is not at work, "" if it is."""

    rows: RowCounts = field(default_factory=RowCounts)
    transactions: Durations = field(default_factory=Durations)
    checkpoints: Durations = field(default_factory=Durations)
    # From reading a row to its being safe, for each row.
    latencies: Durations = field(default_factory=Durations)
    rebalances: int = 0
    partitions: dict[PartitionKey, PartitionCounts] = field(default_factory=dict)
    not_ready: str = "starting"

    def assign(self, partitions: Collection[PartitionKey]) -> None:
        """Take these partitions, and no others, as this replica's.

        What is known of one that it had before is kept: after a failure it is as far behind as it was.
        """
        self.rebalances += 1
        self.partitions = {each: self.of(each) for each in partitions}

    def of(self, partition: PartitionKey) -> PartitionCounts:
        """The counts of one partition."""
        return self.partitions.setdefault(partition, PartitionCounts())
