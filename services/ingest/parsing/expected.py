"""Whether a source has more: what is to be done with bytes that are no complete record depends on it."""

from enum import Enum, auto


class Expected(Enum):
    """What else a source is expected to have."""

    # More, at any moment: complete records are taken.
    MORE = auto()
    # Nothing for now: half a row waits for its rest, and without one the source has ended.
    NOT_NOW = auto()
    # Nothing: all is taken. Only a header that lacks its line ending, which has no row, is left.
    NOTHING = auto()
