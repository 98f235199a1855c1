"""The compiled loops over record batches against their plain twins."""

from contextlib import suppress

import pytest
from aiokafka.errors import CorruptRecordException
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches import plain

compiled = pytest.importorskip("common.batches.compiled", reason="no compiler")

KEYS = st.sampled_from([None, b"", b"k", b"l" * 70])
HEADERS = st.lists(st.tuples(st.sampled_from(["", "eol"]), st.binary(max_size=3)), max_size=1)
VALUES = st.binary(max_size=80)
ROWS = st.lists(VALUES)
CODECS = st.sampled_from(["none", "gzip", "lz4", "zstd"])


def batch_of(records: list[tuple[bytes | None, bytes, list[tuple[str, bytes]]]], codec: str = "none") -> bytes:
    batch = NewBatch(2**20, codec)
    for number, (key, value, headers) in enumerate(records):
        batch.append(timestamp=number * 1000, key=key, value=value, headers=headers)
    return bytes(batch._build())  # noqa: SLF001 - what is sent


@given(st.lists(st.tuples(KEYS, VALUES, HEADERS), min_size=1, max_size=30), CODECS, st.integers(0, 35))
def test_a_batch_is_taken_apart_alike(
    records: list[tuple[bytes | None, bytes, list[tuple[str, bytes]]]], codec: str, start: int
) -> None:
    batch = batch_of(records, codec)
    runs = compiled.parse_batch(batch, start)
    assert runs == plain.parse_batch(batch, start)
    assert compiled.parse_batch(memoryview(batch), start) == runs


@given(st.data())
def test_no_damaged_batch_reads_beyond_itself(data: st.DataObject) -> None:
    batch = bytearray(batch_of([(b"key", b"value" * 3, [("eol", b"\r\n")]), (b"key", b"x", [])]))
    for _ in range(data.draw(st.integers(1, 4))):
        batch[data.draw(st.integers(0, len(batch) - 1))] = data.draw(st.integers(0, 255))
    del batch[data.draw(st.integers(0, len(batch))) :]
    # The checksum is seen to before. Here any error will do, and none: what must not be is a crash.
    with suppress(Exception):
        assert isinstance(compiled.parse_batch(batch, 0), list)


def test_a_batch_that_is_cut_short_is_corrupt() -> None:
    batch = batch_of([(b"key", b"value", [])])
    for size in range(len(batch)):
        with pytest.raises(CorruptRecordException):
            compiled.parse_batch(batch[:size], 0)
    with pytest.raises(CorruptRecordException):
        compiled.parse_batch(batch + b"\0", 0)


@given(
    st.integers(0, 400),
    st.sampled_from([0, 1, 63, 64, 8191, 8192, 2**21]),
    st.integers(-(2**40), 2**40),
    st.binary(max_size=70),
    ROWS,
    st.data(),
)
def test_rows_are_put_alike(
    limit: int, number: int, later_ms: int, key: bytes, rows: list[bytes], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(rows)))
    ours, twin = bytearray(b"head"), bytearray(b"head")
    arguments = (limit, number, later_ms, key, rows, start)
    assert compiled.append_rows(ours, *arguments) == plain.append_rows(twin, *arguments)
    assert ours == twin
