"""Records as ingest writes them, divided by split: every row with its line and offset, wherever batches are cut."""

from dataclasses import dataclass

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches.record_runs import Record, RecordRun
from common.kafka.transaction import Outbox
from common.pipeline.topics import Topics
from common.protocol.messages import Ended, Mark, encode_control
from common.rows.tally import Tally
from services.ingest.outgoing import Address, pack_end, pack_rows
from services.ingest.parsing.framing import RowBlock
from services.split.categories.provenance import Cursor, MarkedRows, divide, outside, up_to
from tests.harness.record_runs import to_runs

TOPICS = Topics.under("t.")
ADDRESS = Address("/a.csv", b"key", (0,))
ENDED = Ended("/a.csv", Tally(), 0, 1)


@dataclass(frozen=True)
class Placed:
    row: bytes
    line: int
    offset: int
    eol: bytes


def outbox_of(batch_bytes: int) -> Outbox:
    return Outbox(lambda: NewBatch(batch_bytes))


def batches_of(outbox: Outbox) -> list[list[Record]]:
    """The records of each batch as Kafka returns them, with consecutive offsets."""
    offset = 0
    batches = []
    for builder in outbox.batches[TOPICS.rows, 0]:
        memory = MemoryRecords(bytes(builder._build()))  # noqa: SLF001 - what the producer sends
        records = []
        batch = memory.next_batch()
        assert batch is not None
        for record in batch:
            records.append(Record(offset, record.key, record.value, list(record.headers)))
            offset += 1
        batches.append(records)
    return batches


def placed(marked: MarkedRows) -> list[Placed]:
    mark = marked.mark.passed([row for rows in marked.before for row in rows])
    result = []
    for row in marked.rows:
        result.append(Placed(row, mark.line, mark.offset, mark.eol))
        mark = mark.passed([row])
    return result


RUNS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([b"", b"a", b"bb,c", b'"q\nq"', b"d" * 30]), min_size=1, max_size=8),
        st.sampled_from([b"\n", b"\r\n", b""]),
    ),
    max_size=5,
)


def packed(runs: list[tuple[list[bytes], bytes]], batch_bytes: int) -> tuple[list[Placed], list[list[Record]]]:
    outbox = outbox_of(batch_bytes)
    line, offset = 2, 10
    expected = []
    for rows, eol in runs:
        pack_rows(outbox, TOPICS, ADDRESS, "schema", RowBlock(rows, eol, line, offset, plain=False), rows, 0, read_ms=1)
        for row in rows:
            expected.append(Placed(row, line, offset, eol))
            line += 1 + row.count(b"\n")
            offset += len(row) + len(eol)
        # A row that was rejected between two runs.
        line, offset = line + 1, offset + 7
    pack_end(outbox, TOPICS, ADDRESS, ENDED)
    return expected, batches_of(outbox)


@given(RUNS, st.integers(300, 600))
def test_every_record_batch_begins_with_a_mark(runs: list[tuple[list[bytes], bytes]], batch_bytes: int) -> None:
    _, batches = packed(runs, batch_bytes)
    for batch in batches:
        assert batch[0].headers


@given(RUNS, st.integers(300, 600), st.data())
def test_every_row_has_its_line_and_offset_however_the_records_are_fetched(
    runs: list[tuple[list[bytes], bytes]], batch_bytes: int, data: st.DataObject
) -> None:
    expected, batches = packed(runs, batch_bytes)
    records = [record for batch in batches for record in batch]
    cursor = Cursor()
    found: list[Placed] = []
    ends = 0
    while records:
        size = data.draw(st.integers(1, len(records)))
        fetched, records = records[:size], records[size:]
        for part in divide(to_runs(fetched), cursor):
            if isinstance(part, Ended):
                ends += 1
            else:
                found += placed(part)
    assert found == expected
    assert ends == 1


@given(RUNS, st.integers(300, 600), st.data())
def test_reading_goes_on_anywhere_with_no_row_lost_doubled_or_misplaced(
    runs: list[tuple[list[bytes], bytes]], batch_bytes: int, data: st.DataObject
) -> None:
    expected, batches = packed(runs, batch_bytes)
    records = [record for batch in batches for record in batch]
    cut = data.draw(st.integers(0, len(records)))
    cursor = Cursor()
    found = [
        row for part in divide(to_runs(records[:cut]), cursor) if isinstance(part, MarkedRows) for row in placed(part)
    ]
    # A restart knows the offset after the processed records, and that of the last mark.
    again = Cursor(committed=cut)
    parts = list(divide(to_runs(record for record in records if record.offset >= cursor.mark_offset), again))
    found += [row for part in parts if isinstance(part, MarkedRows) for row in placed(part)]
    assert found == expected
    assert sum(isinstance(part, Ended) for part in parts) == (1 if cut < len(records) else 0)


@given(RUNS, st.integers(300, 600), st.data())
def test_reading_up_to_an_offset_goes_on_from_there(
    runs: list[tuple[list[bytes], bytes]], batch_bytes: int, data: st.DataObject
) -> None:
    expected, batches = packed(runs, batch_bytes)
    records = [record for batch in batches for record in batch]
    limit = data.draw(st.integers(0, len(records)))
    cursor = Cursor()
    found = [part for part in divide(up_to(to_runs(records), limit), cursor) if isinstance(part, MarkedRows)]
    assert all(marked.offset + len(marked.rows) <= limit for marked in found)
    again = Cursor(committed=limit, mark_offset=cursor.mark_offset)
    rest = to_runs(record for record in records if record.offset >= again.read_from)
    found += [part for part in divide(rest, again) if isinstance(part, MarkedRows)]
    assert [row for marked in found for row in placed(marked)] == expected
    offsets = [offset for marked in found for offset in range(marked.offset, marked.offset + len(marked.rows))]
    assert offsets == [record.offset for record in records if not record.headers]


@given(
    st.lists(st.sampled_from([b"", b"a", b'"q\nq"']), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 12), st.none() | st.integers(0, 12)), max_size=3),
)
def test_rows_outside_gaps_keep_their_line_and_offset(rows: list[bytes], gaps: list[tuple[int, int | None]]) -> None:
    marked = MarkedRows(Mark("/a.csv", "schema", 2, 10, b"\n", plain=False), ([b"before"],), rows, 3)
    in_gaps = {n for since, until in gaps for n in range(since, 99 if until is None else until)}
    wanted = [row for offset, row in enumerate(placed(marked), 3) if offset not in in_gaps]
    parts = list(outside(marked, gaps))
    assert [row for part in parts for row in placed(part)] == wanted
    assert not {n for part in parts for n in range(part.offset, part.offset + len(part.rows))} & in_gaps


def test_a_row_without_a_mark_before_it_is_an_error_that_names_its_offset() -> None:
    with pytest.raises(ValueError, match="offset 7"):
        list(divide([RecordRun(7, b"k", [b"a,b"])], Cursor()))


def test_an_unknown_control_record_is_an_error() -> None:
    with pytest.raises(ValueError, match="newer"):
        list(divide([Record(7, b"k", b"{}", [("nacre", b"later")])], Cursor()))


def test_a_mark_costs_little() -> None:
    value, headers = encode_control(Mark("/data/abalone_full.csv", "62b05c09f7fd", 2, 90, b"\n", plain=True))
    assert len(value) + sum(len(name) + len(text) for name, text in headers) < 150
