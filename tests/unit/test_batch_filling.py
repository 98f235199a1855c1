from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from common.batch_filling import fill

BATCH_BYTES = 512
TIMESTAMP_MS = 1_764_000_000_000
ROWS = st.lists(st.binary(max_size=200), max_size=20)


def new_batch() -> BatchBuilder:
    return BatchBuilder(BATCH_BYTES, 0, is_transactional=1)


def plain_twin(batch: BatchBuilder, key: bytes, rows: list[bytes]) -> int:
    for index, row in enumerate(rows):
        if batch.append(timestamp=TIMESTAMP_MS, key=key, value=row) is None:
            return index
    return len(rows)


@given(ROWS, ROWS, st.binary(max_size=5))
def test_a_batch_is_filled_as_record_by_record(first: list[bytes], second: list[bytes], key: bytes) -> None:
    quick, plain = new_batch(), new_batch()
    for rows in (first, second):
        assert fill(quick, TIMESTAMP_MS, key, rows) == plain_twin(plain, key, rows)
        quick.append(timestamp=TIMESTAMP_MS, key=None, value=b"between", headers=[("a", b"b")])
        plain.append(timestamp=TIMESTAMP_MS, key=None, value=b"between", headers=[("a", b"b")])
        assert (quick.size(), quick.record_count(), quick.closed()) == (
            plain.size(),
            plain.record_count(),
            plain.closed(),
        )
    # What is sent.
    assert bytes(quick._build()) == bytes(plain._build())  # noqa: SLF001 - nothing else gives it


def test_an_empty_batch_takes_a_first_row_of_any_size() -> None:
    assert fill(new_batch(), TIMESTAMP_MS, b"k", [bytes(2 * BATCH_BYTES), b"next"]) == 1
