"""The loops over rows in plain Python: what `common/rows/compiled.pyx` does in C.

`tests/unit/common/rows/test_compiled.py` compares the two.
"""

from array import array
from collections.abc import Hashable, Sequence
from typing import TypeVar

from google_crc32c import value as crc32c

Item = TypeVar("Item", bound=Hashable)


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


def take_out(rows: Sequence[bytes]) -> list[bytes]:
    """The rows as objects."""
    return list(rows)


def join_rows(rows: Sequence[bytes], ending: bytes) -> bytes:
    """The rows, each with this ending."""
    return ending.join(rows) + ending if rows else b""


def take_fields(rows: Sequence[bytes], delimiter: bytes, column: int) -> list[bytes]:
    """Take one field of each row, counted from 0. IndexError where there are too few."""
    if column < 0:
        raise IndexError("columns are counted from 0")
    return [row.split(delimiter, column + 1)[column] for row in rows]


def number_fields(rows: Sequence[bytes], delimiter: bytes, column: int) -> tuple[list[bytes], bytes]:
    """The distinct fields of a column in the order of their first rows; which of them each row has, as native uint32.

    IndexError as in `take_fields`.
    """
    return number_items(take_fields(rows, delimiter, column))


def number_items(items: list[Item]) -> tuple[list[Item], bytes]:
    """The distinct items in the order of their first ones; which of them each is, as native uint32."""
    numbers: dict[Item, int] = {}
    found = array("I", [numbers.setdefault(item, len(numbers)) for item in items])
    return list(numbers), found.tobytes()


def group_rows(rows: Sequence[bytes], numbers: bytes, targets: list[int], count: int) -> list[Sequence[bytes]]:
    """Group rows: row n goes to the group `targets[numbers[n]]` of `count`, or, where that is -1, to none.

    `numbers` are native uint32, one for each row. ValueError for numbers and targets that there are not.
    """
    groups: list[list[bytes]] = [[] for _ in range(count)]
    if any(not -1 <= target < count for target in targets):
        raise ValueError("there is no such group")
    numbered = array("I", numbers)
    if any(number >= len(targets) for number in numbered):
        raise ValueError("a number without a target")
    for row, number in zip(rows, numbered, strict=True):
        if targets[number] >= 0:
            groups[targets[number]].append(row)
    return list(groups)


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
