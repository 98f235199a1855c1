"""The loops over record batches in plain Python: what `common/batches/compiled.pyx` does in C.

`tests/unit/common/batches/test_compiled.py` compares the two.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import size_of_varint

from common.batches.record_runs import Record, RecordRun
from common.batches.varints import varint


def parse_batch(batch: bytes | memoryview, start: int) -> list[RecordRun | Record]:
    """Decode the records of a batch from offset `start` on.

    The batch has format 2; its checksum is not checked. CorruptRecordException where it is damaged.
    """
    runs: list[RecordRun | Record] = []
    records = [record for record in _records(batch) if record.offset >= start]
    for (key, is_odd), together in groupby(records, _kind):
        if is_odd:
            runs += [Record(record.offset, record.key, record.value, list(record.headers)) for record in together]
        else:
            runs += _runs(key, list(together))
    return runs


def _records(batch: bytes | memoryview) -> list[Any]:
    try:
        return list(DefaultRecordBatch(batch))
    except (CorruptRecordException, MemoryError):
        raise
    except Exception as error:  # aiokafka does not catch what a damaged batch leads to
        raise CorruptRecordException(f"a damaged record batch: {error!r}") from error


def _kind(record: Any) -> tuple[bytes | None, bool]:
    return record.key, bool(record.headers)


def _runs(key: bytes | None, records: Sequence[Any]) -> list[RecordRun]:
    """Cut where an offset is missing."""
    numbered = groupby(enumerate(records), lambda each: each[1].offset - each[0])
    cut = [[record for _, record in group] for _, group in numbered]
    return [RecordRun(group[0].offset, key, [record.value for record in group]) for group in cut]


def append_rows(
    batch: bytearray, limit: int, number: int, later_ms: int, key: bytes | None, rows: Sequence[bytes], start: int
) -> int:
    """Append a record for each row from `start` on while the batch has at most `limit` bytes.

    Return the index of the first row left out, `len(rows)` if none is. `number` is how many records the batch has,
    `later_ms` how much later these are than its first. A batch without records takes a row of any length.
    """
    if start < 0:
        raise IndexError("rows are counted from 0")
    behind_size = b"\0" + varint(later_ms)
    keyed = varint(-1) if key is None else varint(len(key)) + key
    for index in range(start, len(rows)):
        row = rows[index]
        record = behind_size + varint(number) + keyed + varint(len(row)) + row + b"\0"
        if number and len(batch) + size_of_varint(len(record)) + len(record) > limit:
            return index
        batch += varint(len(record)) + record
        number += 1
    return len(rows)
