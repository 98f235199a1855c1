"""Why a row is rejected: a code from a closed list, to count by, and words to read. Pure."""

from enum import StrEnum
from typing import NamedTuple


class Code(StrEnum):
    """What is wrong. A newer version may know more of them; none gets another meaning."""

    BLANK_LINE = "blank-line"
    # Longer than MAX_ROW_BYTES, as CSV or as JSON.
    TOO_LONG = "too-long"
    # Another number of fields than the header has.
    FIELDS = "fields"
    # Quotes that are not closed, or not as CSV has them.
    QUOTES = "quotes"
    # The rest of a row that was taken as ended.
    LATE = "late"
    # Not text in ENCODING, where it has to be text.
    ENCODING = "encoding"
    # Not a JSON object of the header's columns.
    JSON = "json"
    # A column of the split that the source does not have.
    COLUMN = "column"
    # No number, or none that can be a category, where the split asks for one.
    NUMBER = "number"
    # A category that is too long.
    CATEGORY = "category"
    # Sent again for a split that SPLIT_BY does not have.
    SPLIT = "split"
    OTHER = "other"


class Reason(NamedTuple):
    """A code, and one line of text."""

    code: Code
    text: str


class RowError(ValueError):
    """A row, or one of its fields, that cannot be used; the message is the reason's text."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def reason_of(error: ValueError) -> Reason:
    """Why a row is rejected that led to this error."""
    return Reason(error.code if isinstance(error, RowError) else Code.OTHER, str(error))
