"""A record batch on its way into Kafka, in place of aiokafka 0.14's own: it takes many rows in one call.

aiokafka's builder takes one record a call: 0.17 µs a row instead of 0.02. No upstream issue known.
`tests/unit/common/aiokafka_internals/test_batch_builder.py` compares the two, byte for byte.
"""

import struct
from collections.abc import Sequence

from aiokafka.producer.message_accumulator import BatchBuilder

from common.batches.compression import CODECS, compress
from common.batches.crc32c import crc32c
from common.batches.loops import append_rows
from common.batches.record_runs import Headers
from common.batches.varints import varint

# Base offset, size behind it, leader epoch, magic, CRC | attributes, last offset, first and last time, producer's id,
# epoch and sequence, number of records.
_HEAD = struct.Struct(">qiibIhiqqqhii")
_CRC_AT = 17
_CHECKED_FROM = 21
_BEFORE_SIZE = 12
_MAGIC = 2
_TRANSACTIONAL = 0x10


class NewBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka has no types
    """A batch of a transaction. An empty batch takes a record of any size; a full one is closed."""

    def __init__(self, max_bytes: int, compression: str = "none") -> None:
        self._max_bytes = max_bytes
        self._compression = compression
        self._data = bytearray(_HEAD.size)
        self._count = 0
        self._first_ms = self._last_ms = 0
        # Producer's id and epoch, and the number of the first record.
        self._sequence = (-1, -1, 0)
        self._is_built = False
        self._closed = False

    def append(self, *, timestamp: int, key: bytes | None, value: bytes, headers: Headers) -> bool | None:
        """Put one record; None when the batch has no room for it, and is closed."""
        if self._closed:
            return None
        self._note_time(timestamp)
        named = [(name.encode(), content) for name, content in headers]
        record = b"".join(
            (
                b"\0",
                varint(timestamp - self._first_ms),
                varint(self._count),
                _sized(key),
                _sized(value),
                varint(len(headers)),
                *(_sized(part) for pair in named for part in pair),
            )
        )
        sized = _sized(record)
        if self._count and len(self._data) + len(sized) > self._max_bytes:
            self.close()
            return None
        self._data += sized
        self._count += 1
        self._last_ms = max(self._last_ms, timestamp)
        return True

    def put_rows(self, timestamp_ms: int, key: bytes | None, rows: Sequence[bytes], start: int) -> int:
        """Put rows from `start` on under one key until the batch is full; return the index of the first left out."""
        if self._closed:
            return start
        self._note_time(timestamp_ms)
        later_ms = timestamp_ms - self._first_ms
        done = append_rows(self._data, self._max_bytes, self._count, later_ms, key, rows, start)
        if done > start:
            self._count += done - start
            self._last_ms = max(self._last_ms, timestamp_ms)
        if done < len(rows):
            self.close()
        return done

    def _note_time(self, timestamp_ms: int) -> None:
        if not self._count:
            self._first_ms = self._last_ms = timestamp_ms

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._sequence = producer_id, producer_epoch, base_sequence

    def _build(self) -> bytearray:
        """The bytes to send, the same at each call: compressed where that makes them smaller."""
        self.close()
        if not self._is_built:
            codec = CODECS[self._compression]
            if codec:
                compressed = compress(codec, bytes(self._data[_HEAD.size :]))
                if len(compressed) < len(self._data) - _HEAD.size:
                    self._data[_HEAD.size :] = compressed
                else:
                    codec = 0
            self._write_head(codec)
            self._is_built = True
        return self._data

    def _write_head(self, codec: int) -> None:
        size = len(self._data) - _BEFORE_SIZE
        attributes = codec | _TRANSACTIONAL
        times = self._first_ms, self._last_ms
        # The broker sets the base offset.
        _HEAD.pack_into(
            self._data, 0, 0, size, -1, _MAGIC, 0, attributes, self._count - 1, *times, *self._sequence, self._count
        )
        with memoryview(self._data) as whole:
            struct.pack_into(">I", self._data, _CRC_AT, crc32c(whole[_CHECKED_FROM:]))

    def size(self) -> int:
        """Bytes so far."""
        return len(self._data)

    def record_count(self) -> int:
        """Records so far."""
        return self._count


def _sized(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content
