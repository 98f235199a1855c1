"""The records of a batch, as few pieces as there can be."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A list, because aiokafka takes no other sequence.
Headers = list[tuple[str, bytes]]


class Single(NamedTuple):
    """A record by itself: one with headers."""

    offset: int
    key: bytes
    value: bytes
    headers: Headers


class Stretch(NamedTuple):
    """Records without headers that follow each other under one key: the first's offset, and their values."""

    offset: int
    key: bytes
    rows: list[bytes]


def one_by_one(parts: Iterable[Stretch | Single]) -> Iterator[Single]:
    """The records of stretches, each by itself."""
    for part in parts:
        if isinstance(part, Single):
            yield part
        else:
            for offset, row in enumerate(part.rows, part.offset):
                yield Single(offset, part.key, row, [])
