"""A batch equals, byte for byte, what aiokafka's own builder makes of the same records.

Theirs is given a byte more: compiled, it refuses the record that would fill a batch to its last byte.
"""

from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import example, given
from hypothesis import strategies as st

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches.compression import CODECS

BATCH_BYTES = 512
TIMESTAMP_MS = 1_764_000_000_000
ROWS = st.lists(st.binary(max_size=200), max_size=20)
# The longest second row that fits after the head, an empty row and its own nine bytes.
LAST_BYTE = BATCH_BYTES - 61 - 7 - 9
HEADERS = st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=200)), max_size=2)


def put_one_by_one(batch: BatchBuilder, later_ms: int, key: bytes, rows: list[bytes]) -> int:
    for index, row in enumerate(rows):
        if batch.append(timestamp=TIMESTAMP_MS + later_ms, key=key, value=row) is None:
            return index
    return len(rows)


def state(batch: Any) -> tuple[int, int, bool]:
    return batch.size(), batch.record_count(), batch.closed()


@example([b"", bytes(LAST_BYTE)], [], b"", 0, [])
@example([b"", bytes(LAST_BYTE + 1)], [], b"", 0, [])
@given(ROWS, ROWS, st.binary(max_size=200), st.integers(-3, 1_000_000), HEADERS)
def test_a_batch_is_filled_as_record_by_record(
    first: list[bytes], second: list[bytes], key: bytes, later_ms: int, headers: list[tuple[str, bytes]]
) -> None:
    ours, theirs = NewBatch(BATCH_BYTES), BatchBuilder(BATCH_BYTES + 1, 0, is_transactional=1)
    for rows, later in ((first, 0), (second, later_ms)):
        closed = ours.closed()
        assert ours.put_rows(TIMESTAMP_MS + later, key, rows, 0) == put_one_by_one(theirs, later, key, rows)
        # A row that does not fit closes theirs as well, and an empty list closes neither.
        assert ours.closed() or not closed
        between: Any = {"timestamp": TIMESTAMP_MS + later, "key": None, "value": b"between", "headers": headers}
        assert bool(ours.append(**between)) == bool(theirs.append(**between))
        assert state(ours) == state(theirs)
    for batch in (ours, theirs):
        batch._set_producer_state(7, 3, 2**31 - 1)  # noqa: SLF001 - what aiokafka's sender calls
    assert bytes(ours._build()) == bytes(theirs._build())  # noqa: SLF001 - same
    assert state(ours) == state(theirs)


def test_an_empty_batch_takes_a_first_row_of_any_size() -> None:
    assert NewBatch(BATCH_BYTES).put_rows(TIMESTAMP_MS, b"k", [bytes(2 * BATCH_BYTES), b"next"], 0) == 1


def test_rows_are_put_from_where_it_is_said() -> None:
    batch = NewBatch(BATCH_BYTES)
    assert batch.put_rows(TIMESTAMP_MS, b"k", [b"a", b"b", b"c"], 1) == 3
    assert [record.value for record in DefaultRecordBatch(bytes(batch._build()))] == [b"b", b"c"]  # noqa: SLF001 - sent


@pytest.mark.parametrize("compression", CODECS)
@given(rows=ROWS)
def test_a_packed_batch_holds_the_same_records(compression: str, rows: list[bytes]) -> None:
    batch = NewBatch(2**20, compression)
    batch.put_rows(TIMESTAMP_MS, b"key", [b"row" * 100, *rows], 0)
    content = bytes(batch._build())  # noqa: SLF001 - what is sent
    assert batch._build() == content  # noqa: SLF001 - and sent again
    fetched = DefaultRecordBatch(content)
    assert fetched.validate_crc()
    assert fetched.compression_type == CODECS[compression]
    assert [record.value for record in fetched] == [b"row" * 100, *rows]


def test_a_batch_that_packing_makes_no_smaller_is_sent_as_it_is() -> None:
    batch = NewBatch(2**20, "zstd")
    batch.put_rows(TIMESTAMP_MS, b"", [b""], 0)
    assert DefaultRecordBatch(bytes(batch._build())).compression_type == 0  # noqa: SLF001 - what is sent
