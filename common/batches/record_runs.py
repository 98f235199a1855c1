"""The records of a batch, as few pieces as there can be."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A list, because aiokafka takes no other sequence.
Headers = list[tuple[str, bytes]]


class Record(NamedTuple):
    """A record by itself: one with headers."""

    offset: int
    key: bytes
    value: bytes
    headers: Headers


class RecordRun(NamedTuple):
    """Records without headers that follow each other under one key: the first's offset, and their values."""

    offset: int
    key: bytes
    rows: list[bytes]


def one_by_one(runs: Iterable[RecordRun | Record]) -> Iterator[Record]:
    """The records of these runs, each by itself."""
    for run in runs:
        if isinstance(run, Record):
            yield run
        else:
            for offset, row in enumerate(run.rows, run.offset):
                yield Record(offset, run.key, row, [])
