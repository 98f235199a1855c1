"""What one look at a pipeline has found, as values: from Kafka alone, and from files where they are at hand. Pure."""

from collections.abc import Mapping

from msgspec import Struct, field

from common.protocol.progress import Progress, Run

INGEST, SPLIT, SINK = "ingest", "split", "sink"
STAGES = (INGEST, SPLIT, SINK)


class Replica(Struct, frozen=True):
    """A member of a service's group: its client's id, and its partitions by the short names of their topics."""

    client: str
    partitions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class SeenPartition(Struct, frozen=True):
    """What a stage has left of a partition that it reads; `topic` is its short name.

    The stage goes on at the offset `position`, and committed records end at `end`. `rows` counts the rows between the
    two, and nothing else that takes an offset; without `is_exact` there are too many to have been read, and the number
    is an estimate.
    """

    topic: str
    number: int
    position: int
    end: int
    rows: int = 0
    is_exact: bool = True


class SeenFile(Struct, frozen=True):
    """A source's file, where it is at hand: its size in bytes, and how many of them wait to be read.

    `waiting` is None if that cannot be known, as of a compressed file: then `may_wait` says whether some may.
    """

    size: int
    waiting: int | None
    may_wait: bool = False


class Observation(Struct, frozen=True):
    """One look, at `at_s` (time.monotonic) and `at_ms` (ms since 1970).

    By source: how far it is read, its file, and the number of the end up to which it is delivered, which is None where
    its receipt was withdrawn. `split_rows` and `split_rejected` are what split has processed and rejected in all its
    partitions; while it `is_filling`, a split is behind what `split_rows` counts. Of the offsets that split and sink
    pass, `split_row_share` and `row_share` are rows, as far as is known. `rows_in_files` and `rows_rejected` are what
    sink's ledgers have, None where they are not at hand.
    """

    at_s: float
    at_ms: int
    sources: Mapping[str, Progress] = field(default_factory=dict)
    files: Mapping[str, SeenFile] = field(default_factory=dict)
    receipts: Mapping[str, int | None] = field(default_factory=dict)
    runs: Mapping[int, Run] = field(default_factory=dict)
    replicas: Mapping[str, tuple[Replica, ...]] = field(default_factory=dict)
    partitions: Mapping[str, tuple[SeenPartition, ...]] = field(default_factory=dict)
    progress_partitions: int = 0
    split_rows: int = 0
    split_rejected: int = 0
    split_row_share: float = 1.0
    is_filling: bool = False
    row_share: float = 1.0
    rows_in_files: int | None = None
    rows_rejected: int | None = None

    def offset_of(self, stage: str) -> int:
        """The sum of the offsets that a stage goes on at."""
        return sum(each.position for each in self.partitions.get(stage, ()))
