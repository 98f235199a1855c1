"""From split to sink: rows of any sources and schemas, in batches of any size, are grouped by their files again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches.record_runs import Record, RecordRun
from common.kafka.transaction import Outbox
from common.pipeline.schema_numbers import Registered
from common.pipeline.topics import Topics
from common.protocol.category_keys import file_key, parse_file_key
from common.protocol.identity import Formats
from common.protocol.messages import Ended, Mark, encode_control
from common.rows.schema import Dialect, Schema
from common.rows.tally import Tally
from services.sink.grouping import Grouped, group_by_key, marked
from services.split.categories.splits import parse_split_by
from services.split.categorizing import Categorizer
from tests.harness.record_runs import to_runs

TOPICS = Topics.under("t.")
LF, CRLF = Schema(b"Sex,N", ("Sex", "N")), Schema(b"Sex,M", ("Sex", "M"), Dialect(eol=b"\r\n"))
SCHEMAS = {schema.id: schema for schema in (LF, CRLF)}


@dataclass(frozen=True)
class Batch:
    """A batch as sink fetches it, from `start` on."""

    records: Sequence[Record]
    start: int

    @property
    def is_cut(self) -> bool:
        """Whether there are records before `start`."""
        return self.start > self.records[0].offset

    def runs(self) -> list[RecordRun | Record]:
        """Its records from `start` on."""
        return to_runs([record for record in self.records if record.offset >= self.start])

    def whole(self) -> list[RecordRun | Record]:
        """All of its records."""
        return to_runs(self.records)


@dataclass(frozen=True)
class Block:
    """Rows of one source behind one mark of `rows`."""

    source: str
    schema: str
    eol: bytes
    rows: list[bytes]


ROWS = st.lists(st.sampled_from([b"M,1", b"F,2", b"I,3", b"M,44444444444444444444"]), min_size=1, max_size=6)
BLOCKS = st.lists(
    st.builds(
        Block, st.sampled_from("ab"), st.sampled_from(list(SCHEMAS)), st.sampled_from([b"\n", b"\r\n", b""]), ROWS
    ),
    max_size=6,
)


async def find(schema: str) -> Registered:
    return Registered(1, SCHEMAS[schema])


def categorized(blocks: list[Block], batch_bytes: int, version: int) -> list[list[Record]]:
    """The batches of `categorized`, as Kafka returns them."""
    registry: Any = SimpleNamespace(find=find)
    categorizer = Categorizer(TOPICS, 1, parse_split_by("Sex,*"), registry, formats=Formats(version, version))
    outbox = Outbox(lambda: NewBatch(batch_bytes))
    offset, parts = 0, list[Record | RecordRun]()
    for block in blocks:
        value, headers = encode_control(Mark(block.source, block.schema, 2, 0, block.eol, plain=True), version)
        parts += [Record(offset, None, value, headers), RecordRun(offset + 1, None, block.rows)]
        offset += 1 + len(block.rows)
        value, headers = encode_control(Ended(block.source, Tally(), 0, 1), version)
        parts.append(Record(offset, None, value, headers))
        offset += 1
    asyncio.run(categorizer.categorize(parts, outbox))
    batches, offset = [], 0
    for builder in outbox.batches[TOPICS.categorized, 0]:
        batch = MemoryRecords(bytes(builder._build())).next_batch()  # noqa: SLF001 - what the producer sends
        assert batch is not None
        records = [Record(offset + n, each.key, each.value, list(each.headers)) for n, each in enumerate(batch)]
        batches.append(records)
        offset += len(records)
    return batches


def rows_by_file(grouped: Sequence[Grouped]) -> dict[bytes, list[tuple[bytes, bytes]]]:
    """Each file's rows with their line endings, one by one."""
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for each in grouped:
        for key, runs in each.piles.items():
            usual = SCHEMAS[parse_file_key(key)[0]].dialect.eol
            found.setdefault(key, []).extend(
                (usual if eol is None else eol, row) for eol, rows, _ in runs for row in rows
            )
    return found


def expected(blocks: list[Block]) -> dict[bytes, list[tuple[bytes, bytes]]]:
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for block in blocks:
        for row in block.rows:
            for key in (file_key(block.schema, "Sex", (row[:1].decode(),)), file_key(block.schema, "all", ())):
                found.setdefault(key, []).append((block.eol, row))
    return found


@given(BLOCKS, st.sampled_from([300, 500, 10_000]), st.sampled_from([1, 2]), st.data())
def test_every_row_is_grouped_with_its_file_wherever_reading_was_cut(
    blocks: list[Block], batch_bytes: int, version: int, data: st.DataObject
) -> None:
    batches = categorized(blocks, batch_bytes, version)
    # sink stops anywhere, in the middle of a batch too, and goes on from that offset.
    end = sum(map(len, batches))
    cut = data.draw(st.integers(0, end))
    before = [[record for record in batch if record.offset < cut] for batch in batches]
    first = group_by_key(marked([Batch(records, records[0].offset) for records in before if records]))
    behind = [Batch(records, max(cut, records[0].offset)) for records in batches if records[-1].offset >= cut]
    second = group_by_key(marked(behind))
    assert rows_by_file([first, second]) == expected(blocks)
    assert len(first.ends) + len(second.ends) == len(blocks)


@given(BLOCKS, st.sampled_from([300, 500, 10_000]))
def test_every_batch_with_rows_begins_with_a_mark(blocks: list[Block], batch_bytes: int) -> None:
    for batch in categorized(blocks, batch_bytes, 2):
        kinds = [dict(record.headers).get("nacre") for record in batch]
        assert None not in kinds[: kinds.index(b"source/2") if b"source/2" in kinds else None]


def test_rows_of_one_block_stand_behind_one_mark_in_each_batch() -> None:
    [batch] = categorized([Block("a", LF.id, b"\n", [b"M,1", b"F,2"] * 10)], 10_000, 2)
    kinds = [dict(record.headers).get("nacre") for record in batch]
    assert kinds == [b"source/2", *[None] * 40, b"ended/2"]
    assert {record.key for record in batch} == {None, b"Sex=M", b"Sex=F", b"all"}


def test_a_row_of_a_full_batch_costs_twelve_bytes_beside_its_own() -> None:
    rows = [
        b"%c,0.455,0.365,0.095,0.514,0.2245,0.101,%04d,15" % (b"MFI"[number % 3], number) for number in range(4_000)
    ]
    mark, headers = encode_control(Mark("/data/abalone.csv", LF.id, 2, 0, b"\n", plain=True, read_ms=1_795_000_000_000))
    outbox = Outbox(lambda: NewBatch(1_000_000))
    registry: Any = SimpleNamespace(find=find)
    categorizer = Categorizer(TOPICS, 1, parse_split_by("#1"), registry)
    asyncio.run(categorizer.categorize([Record(0, None, mark, headers), RecordRun(1, None, rows)], outbox))
    # Its number in the batch, lengths, and its key.
    assert outbox.size < (len(rows[0]) + 13) * len(rows)


def test_a_row_that_does_not_fit_beside_its_mark_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="a row of 3 bytes does not fit into a record batch beside its mark"):
        categorized([Block("a", LF.id, b"\n", [b"M,1"])], 80, 2)


@pytest.mark.parametrize("key", [None, b"Sex=%4D", b"\xff"])
def test_a_row_that_split_did_not_write_is_a_value_error(key: bytes | None) -> None:
    [records] = categorized([Block("a", LF.id, b"\n", [b"M,1"])], 10_000, 2)
    foreign = [*records[:1], Record(1, key, b"M,1", [])]
    with pytest.raises(ValueError, match=r"no key|decode"):
        group_by_key(marked([Batch(foreign, 0)]))
