"""Rows as they lie in one piece of bytes."""

from array import array
from collections.abc import Sequence

from common.batches.row_spans import RowSpans


def spans_of(rows: Sequence[bytes], gap: int = 1, before: bytes = b"") -> RowSpans:
    """These rows, behind `before` and with so many bytes between them."""
    bounds = array("I")
    data = bytearray(before)
    for row in rows:
        bounds.extend((len(data), len(data) + len(row)))
        data += row + b"|" * gap
    return RowSpans(bytes(data), bounds.tobytes())
