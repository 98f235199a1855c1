"""The records of a batch, in as few pieces as possible."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

# A list, because aiokafka takes no other sequence.
Headers = list[tuple[str, bytes]]


class Record(NamedTuple):
    """A record by itself, because it has headers. Its key and its value are None where it has none."""

    offset: int
    key: bytes | None
    value: bytes
    headers: Headers


class RecordRun(NamedTuple):
    """Records without headers that follow one another under one key: the first one's offset, and their values."""

    offset: int
    key: bytes | None
    rows: Sequence[bytes]


def key_of(record: Record) -> bytes:
    """The key of a record of a compacted topic, where each has one."""
    assert record.key is not None  # noqa: S101 - the broker refuses a record without
    return record.key


def is_deletion(record: Record) -> bool:
    """Whether a record of a compacted topic deletes what the topic has under its key."""
    return record.value is None


def one_by_one(runs: Iterable[RecordRun | Record]) -> Iterator[Record]:
    """Each record of these runs by itself."""
    for run in runs:
        if isinstance(run, Record):
            yield run
        else:
            for offset, row in enumerate(run.rows, run.offset):
                yield Record(offset, run.key, row, [])
