"""The loops over rows in plain Python: what `common/rows/compiled.pyx` does in C.

`tests/unit/common/rows/test_compiled.py` compares the two.
"""

from collections.abc import Sequence
from typing import Any

from google_crc32c import value as crc32c


def size_of(rows: Sequence[bytes]) -> int:
    """The rows' bytes."""
    return sum(map(len, rows))


def sums(rows: Sequence[bytes]) -> tuple[int, int]:
    """The rows' bytes, and the sum of their CRC-32C modulo 2**64."""
    return sum(map(len, rows)), sum(map(crc32c, rows)) % 2**64


def split_uniform_lines(
    data: bytes, delimiter: bytes, quote: bytes, eol: bytes, columns: int, max_row_bytes: int
) -> Sequence[bytes] | None:
    """Split lines that all end with `eol`, hold no quote and have `columns` fields; None for any other data.

    Compiled, it gives RowSpans. ValueError unless `eol` is LF or CRLF.
    """
    if eol not in {b"\n", b"\r\n"}:
        raise ValueError(f"neither LF nor CRLF: {eol!r}")
    rows = data.split(eol)
    if rows.pop() or (quote and quote in data) or max(map(len, rows), default=0) > max_row_bytes:
        return None
    if any(row.count(delimiter) != columns - 1 or b"\r" in row or b"\n" in row for row in rows):
        return None
    return rows


def take_fields(rows: list[bytes], delimiter: bytes, column: int) -> list[bytes]:
    """Take one field of each row, counted from 0. IndexError where there are too few."""
    if column < 0:
        raise IndexError("columns are counted from 0")
    return [row.split(delimiter, column + 1)[column] for row in rows]


def group_rows(keys: list[Any], rows: list[bytes], groups: dict[Any, list[bytes]]) -> None:
    """Append each row to the group of its key. ValueError unless there are as many keys as rows."""
    for key, row in zip(keys, rows, strict=True):
        groups[key].append(row)


# JSON: None for what `JsonCodec` has to do itself, which here is everything


def json_rows(rows: list[bytes], names: list[bytes], delimiter: bytes, quote: bytes) -> list[bytes | None]:  # noqa: ARG001
    """CSV rows as JSON objects; a name has all bytes that come before its value."""
    return [None] * len(rows)


def csv_rows(values: list[bytes], names: list[bytes], delimiter: bytes, quote: bytes) -> list[bytes | None]:  # noqa: ARG001
    """JSON objects as CSV rows."""
    return [None] * len(values)


def take_json_fields(values: list[bytes], names: list[bytes], column: int) -> list[bytes | None]:
    """Take one field of each JSON object, counted from 0. IndexError where there is no such name."""
    if not 0 <= column < len(names):
        raise IndexError("there is no such column")
    return [None] * len(values)
