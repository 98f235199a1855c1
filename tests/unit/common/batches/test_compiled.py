"""The compiled loops over record batches, compared with their plain twins."""

from array import array
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches import plain
from common.batches.record_runs import Record, RecordRun

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


# Records by themselves, and such that follow one another under one key, few or many, and perhaps without a value.
SINGLE = st.tuples(KEYS, VALUES, HEADERS).map(lambda record: [record])
ALIKE: st.SearchStrategy[Any] = st.builds(
    lambda key, values: [(key, value, []) for value in values],
    KEYS,
    st.lists(VALUES, min_size=14, max_size=40) | st.lists(st.binary(max_size=2) | st.none(), min_size=14, max_size=18),
)


@given(st.lists(SINGLE | ALIKE, min_size=1, max_size=8), CODECS, st.integers(0, 90))
def test_a_batch_is_taken_apart_alike(
    blocks: list[list[tuple[bytes | None, bytes, list[tuple[str, bytes]]]]], codec: str, start: int
) -> None:
    batch = batch_of([record for block in blocks for record in block], codec)
    runs = compiled.parse_batch(batch, start)
    assert runs == plain.parse_batch(batch, start)
    assert compiled.parse_batch(memoryview(batch), start) == runs


# Some damage leaves numbers that mean something else. The checksum is checked before the loops.


def ending_sharply(content: bytes | bytearray) -> memoryview:
    """A copy with no byte of memory behind it, so that a sanitizer sees a read of one byte too many.

    Bytes are followed by a NUL, and a growing array has spare room; a copy of an array has exactly its length.
    """
    return memoryview(array("B", content)[:])


def runs_or_corrupt(loops: Any, batch: memoryview) -> list[RecordRun | Record] | None:
    try:
        runs: list[RecordRun | Record] = loops.parse_batch(batch, 0)
    except CorruptRecordException:
        return None
    return runs


@given(CODECS, st.data())
def test_a_damaged_batch_is_corrupt_or_gives_runs(codec: str, data: st.DataObject) -> None:
    records = [(b"key", b"value" * 9, [("eol", b"\r\n")]), (b"key", b"x", []), (b"key", b"y" * 99, []), (None, b"", [])]
    records += [(b"key", b"z" * number, []) for number in range(data.draw(st.sampled_from([0, 20])))]
    batch = bytearray(batch_of(records, codec))
    for _ in range(data.draw(st.integers(1, 4))):
        # More damage near the head, the batch's and the codec's own, less in the values.
        place = data.draw(st.one_of(st.integers(0, len(batch) - 1), st.integers(57, min(len(batch) - 1, 90))))
        batch[place] = data.draw(st.integers(0, 255))
    del batch[data.draw(st.sampled_from([len(batch), data.draw(st.integers(0, len(batch)))])) :]
    for loops in (compiled, plain):
        runs = runs_or_corrupt(loops, ending_sharply(batch))
        assert runs is None or all(isinstance(run, RecordRun | Record) for run in runs)


@pytest.mark.parametrize("loops", [compiled, plain])
def test_a_batch_that_is_cut_short_or_goes_on_is_corrupt(loops: Any) -> None:
    # Also cut where the second record's size should begin, and within it.
    batch = batch_of([(b"key", b"value", []), (b"other", b"value" * 40, [("eol", b"\r\n")])])
    for size in range(len(batch)):
        with pytest.raises(CorruptRecordException):
            loops.parse_batch(ending_sharply(batch[:size]), 0)
    with pytest.raises(CorruptRecordException):
        loops.parse_batch(ending_sharply(batch + b"\0"), 0)


@pytest.mark.parametrize("loops", [compiled, plain])
def test_a_header_s_name_that_is_not_utf_8_is_corrupt(loops: Any) -> None:
    batch = batch_of([(b"key", b"value", [("eol", b"\r\n")])])
    with pytest.raises(CorruptRecordException):
        loops.parse_batch(batch.replace(b"eol", b"\xff\xfe\xfd"), 0)


@pytest.mark.parametrize("loops", [compiled, plain])
@pytest.mark.parametrize("codec", [1, 2, 3, 4, 5, 6, 7])
def test_a_batch_that_its_codec_cannot_unpack_is_corrupt(loops: Any, codec: int) -> None:
    batch = bytearray(batch_of([(b"key", b"value", [])]))
    # The codec is in the lowest bits of the attributes; these records are not compressed.
    batch[22] |= codec
    with pytest.raises(CorruptRecordException):
        loops.parse_batch(bytes(batch), 0)


def test_what_is_no_batch_is_a_type_error() -> None:
    for content in (None, "text", [1]):
        with pytest.raises(TypeError):
            compiled.parse_batch(content, 0)


@given(
    st.integers(0, 400),
    st.sampled_from([0, 1, 63, 64, 8191, 8192, 2**21]),
    st.integers(-(2**40), 2**40),
    st.none() | st.binary(max_size=70),
    ROWS,
    st.data(),
)
def test_rows_are_put_alike(
    limit: int, number: int, later_ms: int, key: bytes | None, rows: list[bytes], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(rows)))
    ours, twin = bytearray(b"head"), bytearray(b"head")
    arguments = (limit, number, later_ms, key, rows, start)
    assert compiled.append_rows(ours, *arguments) == plain.append_rows(twin, *arguments)
    assert ours == twin


def test_rows_from_before_the_first_are_an_index_error() -> None:
    for loops in (compiled, plain):
        with pytest.raises(IndexError):
            loops.append_rows(bytearray(), 100, 0, 0, b"key", [b"row"], -1)


def test_rows_that_are_not_bytes_are_a_type_error_and_leave_the_batch_as_it_was() -> None:
    batch = bytearray(b"head")
    for row in (None, "text", bytearray(b"row")):
        with pytest.raises(TypeError):
            compiled.append_rows(batch, 100, 0, 0, b"key", [b"row", row], 0)
    assert batch == b"head"
