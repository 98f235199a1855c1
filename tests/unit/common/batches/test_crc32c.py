"""The checksum of record batches, compared with aiokafka's own, and the damage that it shows."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.batch_builder import NewBatch
from common.aiokafka_internals.fetched_batches import hand_out_batches, in_batches
from common.batches.crc32c import crc32c

ROWS = [b"M,0.455,15", b"F,0.53,9"]


@given(st.binary(max_size=300), st.integers(0, 40))
def test_it_is_aiokafka_s(data: bytes, start: int) -> None:
    part = memoryview(data)[start:]
    assert crc32c(part) == calc_crc32c(bytes(part))


@given(st.data())
def test_a_fetched_batch_with_a_changed_byte_is_refused(data: st.DataObject) -> None:
    hand_out_batches()
    batch = NewBatch(1_000)
    batch.put_rows(1_764_000_000_000, b"key", ROWS, 0)
    content = bytearray(batch._build())  # noqa: SLF001 - what the producer sends

    def read() -> list[object]:
        records = fetcher.MemoryRecords(bytes(content))
        read_from: tuple[Any, ...] = TopicPartition("rows", 0), records, [], 0, None, in_batches, True, READ_COMMITTED
        return [run.rows for fetched in fetcher.PartitionRecords(*read_from) for run in fetched.runs()]

    assert read() == [ROWS]
    # The checksum itself, and all the bytes that it covers.
    content[data.draw(st.integers(17, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptRecordException, match="Invalid CRC"):
        read()
