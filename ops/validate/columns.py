"""Which types the fields of a column fit, and how many are empty. Pure."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct

from services.split.categories.labels import converter
from services.split.categories.splits import Column, Float, Int, Kind

# ISO 8601 with dashes and colons, and with a T or a blank: its other forms are ambiguous, or numbers.
_DAY = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = rb"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"

EMPTY, TEXT = "empty", "text"


def _takes(kind: Kind) -> Callable[[bytes], bool]:
    """Whether a split of this type has a category for a field."""
    convert = converter(Column(1, kind), "utf-8")

    def takes(field: bytes) -> bool:
        try:
            convert(field)
        except ValueError:
            return False
        return True

    return takes


def _matches(pattern: re.Pattern[bytes]) -> Callable[[bytes], bool]:
    """Whether a field matches the pattern and exists in the calendar."""

    def matches(field: bytes) -> bool:
        if pattern.fullmatch(field) is None:
            return False
        try:
            datetime.fromisoformat(field.decode())
        except ValueError:
            return False
        return True

    return matches


# The first type that fits is the guess, so the order counts: a day is a timestamp too, and most ints are floats.
_FITS = MappingProxyType(
    {
        "int": _takes(Int()),
        "float": _takes(Float()),
        "date": _matches(re.compile(_DAY)),
        "timestamp": _matches(re.compile(rb"%b(?:[T ]%b)?" % (_DAY, _TIME))),
    }
)


class ColumnFields(Struct, frozen=True):
    """What is known of a column's fields: how many are empty, and the types that all others fit."""

    kinds: tuple[str, ...] = tuple(_FITS)
    filled: int = 0
    empty: int = 0

    @property
    def guess(self) -> str:
        """The narrowest type that fits every field that is not empty."""
        if not self.filled:
            return EMPTY
        return self.kinds[0] if self.kinds else TEXT


def with_fields(known: ColumnFields, fields: Sequence[bytes]) -> ColumnFields:
    """What is known after these fields too. An int is what `:int` accepts, and a float what `:float` accepts."""
    empty = fields.count(b"")
    # A type that no longer fits is not tried again, which makes most columns cheap.
    distinct = set(fields) - {b""} if known.kinds else ()
    kinds = tuple([kind for kind in known.kinds if all(map(_FITS[kind], distinct))])
    return ColumnFields(kinds, known.filled + len(fields) - empty, known.empty + empty)


def merged_fields(one: ColumnFields, other: ColumnFields) -> ColumnFields:
    """What is known of a column across two sources."""
    kinds = tuple([kind for kind in one.kinds if kind in other.kinds])
    return ColumnFields(kinds, one.filled + other.filled, one.empty + other.empty)
