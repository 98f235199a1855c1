"""The loops over rows in plain Python: what `common/rows/compiled.pyx` does in C.

`tests/unit/common/rows/test_compiled.py` compares the two.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from zlib import crc32

from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import size_of_varint

from common.batches.record_runs import Single, Stretch
from common.batches.varints import varint

# Record batches


def stretches(batch: bytes | memoryview, start: int) -> list[Stretch | Single]:
    """The records of a batch from offset `start` on. CorruptRecordException where it is none."""
    parts: list[Stretch | Single] = []
    records = (record for record in DefaultRecordBatch(batch) if record.offset >= start)
    for (key, is_odd), together in groupby(records, _kind):
        if is_odd:
            parts += [Single(record.offset, record.key, record.value, list(record.headers)) for record in together]
        else:
            parts += _stretches(key, list(together))
    return parts


def _kind(record: Any) -> tuple[bytes, bool]:
    return record.key, bool(record.headers)


def _stretches(key: bytes, records: Sequence[Any]) -> list[Stretch]:
    """Cut where an offset is missing."""
    numbered = groupby(enumerate(records), lambda each: each[1].offset - each[0])
    cut = [[record for _, record in group] for _, group in numbered]
    return [Stretch(group[0].offset, key, [record.value for record in group]) for group in cut]


def put_rows(
    batch: bytearray, limit: int, number: int, later_ms: int, key: bytes, rows: list[bytes], start: int
) -> int:
    """Append records of rows from `start` on while the batch is no longer than `limit`; return the first left out.

    `number` is how many records the batch has, `later_ms` how much later than its first these are. One that is empty
    takes a row of any length.
    """
    behind_size = b"\0" + varint(later_ms)
    keyed = varint(len(key)) + key
    for index in range(start, len(rows)):
        row = rows[index]
        record = behind_size + varint(number) + keyed + varint(len(row)) + row + b"\0"
        if number and len(batch) + size_of_varint(len(record)) + len(record) > limit:
            return index
        batch += varint(len(record)) + record
        number += 1
    return len(rows)


# Rows


def size_of(rows: list[bytes]) -> int:
    """The rows' bytes."""
    return sum(map(len, rows))


def sums(rows: list[bytes]) -> tuple[int, int]:
    """The rows' bytes, and the sum of their CRC-32 modulo 2**64."""
    return sum(map(len, rows)), sum(map(crc32, rows)) % 2**64


def even_rows(
    data: bytes, delimiter: bytes, quote: bytes, eol: bytes, columns: int, max_row_bytes: int
) -> list[bytes] | None:
    """Split whole lines that have no quote, one kind of ending and the right number of fields; None for others."""
    rows = data.split(eol)
    if rows.pop() or (quote and quote in data) or max(map(len, rows), default=0) > max_row_bytes:
        return None
    if any(row.count(delimiter) != columns - 1 or b"\r" in row or b"\n" in row for row in rows):
        return None
    return rows


def take_fields(rows: list[bytes], delimiter: bytes, column: int) -> list[bytes]:
    """One field of each row, counted from 0. IndexError where there are too few."""
    return [row.split(delimiter, column + 1)[column] for row in rows]


def pile_up(keys: list[Any], rows: list[bytes], piles: dict[Any, list[bytes]]) -> None:
    """Put each row on the pile of its key."""
    for key, row in zip(keys, rows, strict=True):
        piles[key].append(row)


# JSON: None where `JsonCodec` has to look closer, which here is everywhere


def json_rows(rows: list[bytes], names: list[bytes], delimiter: bytes, quote: bytes) -> list[bytes | None]:  # noqa: ARG001
    """CSV rows as JSON objects; each name has what stands before a value."""
    return [None] * len(rows)


def csv_rows(values: list[bytes], names: list[bytes], delimiter: bytes, quote: bytes) -> list[bytes | None]:  # noqa: ARG001
    """JSON objects as CSV rows."""
    return [None] * len(values)


def take_json_fields(values: list[bytes], names: list[bytes], column: int) -> list[bytes | None]:  # noqa: ARG001
    """One field of each JSON object."""
    return [None] * len(values)
