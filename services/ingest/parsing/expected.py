"""How much more of a source is expected, which decides what becomes of bytes that are no complete record."""

from enum import Enum, auto


class Expected(Enum):
    """How much more of a source is expected."""

    # More, at any moment: complete records are taken.
    MORE = auto()
    # Nothing for now: half a row waits for its rest; without half a row the source has ended.
    NOT_NOW = auto()
    # Nothing: everything is taken except a header without its line ending, which has no row.
    NOTHING = auto()
