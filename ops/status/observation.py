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
    is an estimate. `oldest_ms` is when the first of them was read from its source, or rejected (ms since 1970); None if
    there are none, or it is not known.
    """

    topic: str
    number: int
    position: int
    end: int
    rows: int = 0
    is_exact: bool = True
    oldest_ms: int | None = None


class SeenReceipt(Struct, frozen=True):
    """What a source's latest receipt says: up to the end with this number, so many rows of it are delivered.

    `rejected` are by ingest and by splits, a row once for each. `safe_ms` is in ms since 1970; latencies are None where
    no row was read.
    """

    number: int
    rows: int = 0
    rejected: int = 0
    safe_ms: int = 0
    p50_ms: int | None = None
    p99_ms: int | None = None


class SeenFile(Struct, frozen=True):
    """A source's file, where it is at hand: its size in bytes, and how many of them wait to be read.

    `waiting` is None if that cannot be known, as of a compressed file: then `may_wait` says whether some may.
    """

    size: int
    waiting: int | None
    may_wait: bool = False


class Observation(Struct, frozen=True):
    """One look, at `at_s` (time.monotonic) and `at_ms` (ms since 1970).

    By source: how far it is read, its file, and its receipt, which is None where it was withdrawn. `splits` are the
    digests of the splits in use. `split_rows` and `split_rejected` are what split has processed and rejected in all its
    partitions; while it `is_filling`, a split is behind what `split_rows` counts. Of the offsets that split and sink
    pass, `split_row_share` and `row_share` are rows, as far as is known. `rows_in_files` and `rows_rejected` are what
    sink's ledgers have, None where they are not at hand; `ledgers_trouble` says why, if it is known.
    """

    at_s: float
    at_ms: int
    sources: Mapping[str, Progress] = field(default_factory=dict)
    files: Mapping[str, SeenFile] = field(default_factory=dict)
    receipts: Mapping[str, SeenReceipt | None] = field(default_factory=dict)
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
    splits: frozenset[str] = frozenset()
    ledgers_trouble: str = ""

    def offset_of(self, stage: str) -> int:
        """The sum of the offsets that a stage goes on at."""
        return sum(each.position for each in self.partitions.get(stage, ()))
