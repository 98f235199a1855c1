"""Each row of a batch is found with what it comes from, wherever in the batch reading begins."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches.loops import parse_batch
from common.batches.record_runs import Record, RecordRun
from common.kafka.transaction import Outbox
from common.pipeline.schema_numbers import Registered
from common.pipeline.topics import Topics
from common.protocol.identity import Formats
from common.protocol.messages import Ended, Mark, encode_control
from common.protocol.rejections import (
    BegunAnew,
    Rejection,
    Replayed,
    encode_begun_anew,
    encode_rejection,
    encode_replayed,
)
from common.rows.schema import Schema
from common.rows.tally import Tally
from ops.tap.origins import Origin, OriginRun, Stage, origin_runs
from ops.tap.rows import Layout, Place, Row, rows_of
from services.ingest.outgoing import Address, encode_frames, pack_end, pack_rows
from services.ingest.parsing.framing import Reject, frame
from services.split.categories.splits import parse_split_by
from services.split.categorizing import Categorizer

TOPICS = Topics.under("t.")
CSV, JSON = (Schema(b"Sex,Text", ("Sex", "Text"), row_format=kind) for kind in ("csv", "json"))
LINES = st.lists(
    st.sampled_from([b"M,1", b"F,a long text", b'I,"quoted, and\ntwo lines"', b'M,"a ""quote"""', b"F,"]), max_size=12
)
BATCH_BYTES = st.sampled_from([300, 400, 5_000])


def batches_of(outbox: Outbox, topic: str) -> Iterator[list[RecordRun | Record]]:
    """The batches of a topic of one partition, each whole, as a broker would number them."""
    offset = 0
    for batch in outbox.batches.get((topic, 0), []):
        content = batch._build()  # noqa: SLF001 - as aiokafka calls it
        content[:8] = offset.to_bytes(8, "big")
        offset += batch.record_count()
        yield parse_batch(bytes(content), 0)


def written(sources: dict[str, list[bytes]], schema: Schema, batch_bytes: int, version: int) -> tuple[Outbox, Any]:
    """What ingest makes of these sources, and the content of each, by name."""
    outbox, contents = Outbox(lambda: NewBatch(batch_bytes)), {}
    codec = Layout.of(schema).codec
    for name, lines in sources.items():
        content = contents[name] = b"Sex,Text\n" + b"".join(line + b"\n" for line in lines)
        begin = len(b"Sex,Text\n")
        framed = frame(
            content[begin:],
            dialect=schema.dialect,
            columns=2,
            line=2,
            offset=begin,
            at_end=True,
            max_row_bytes=1_000,
        )
        address = Address(name, b"key", (0,), version)
        for encoded in encode_frames(framed.frames, codec, 1_000):
            assert not isinstance(encoded, Reject)
            pack_rows(outbox, TOPICS, address, schema.id, *encoded, 0, read_ms=7)
        pack_end(outbox, TOPICS, address, Ended(name, Tally(), 0, 1))
    return outbox, contents


def tapped(
    stage: Stage, batch: Sequence[RecordRun | Record], layout: Layout, start: int, end: int | None = None
) -> list[Row]:
    place = Place(stage, "t", 0, 0)
    runs = (run.between(start, end) for run in origin_runs(stage, batch))
    return [row for run in runs if run is not None for row in rows_of(run, place, layout, 0, len(run.rows))]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("schema", [CSV, JSON], ids=["csv", "json"])
@given(lines=st.tuples(LINES, LINES), batch_bytes=BATCH_BYTES, data=st.data())
def test_rows_have_their_source_line_and_offset_wherever_reading_begins(
    schema: Schema, version: int, lines: tuple[list[bytes], list[bytes]], batch_bytes: int, data: st.DataObject
) -> None:
    layout = Layout.of(schema)
    outbox, contents = written(dict(zip("ab", lines, strict=True)), schema, batch_bytes, version)
    found = list[Row]()
    for batch in batches_of(outbox, TOPICS.rows):
        # Each batch by itself: none needs those before it.
        first = batch[0].offset
        cut = first + data.draw(st.integers(0, 10))
        found += [*tapped(Stage.ROWS, batch, layout, first, cut), *tapped(Stage.ROWS, batch, layout, cut)]
    assert [row.kafka_offset for row in found] == sorted({row.kafka_offset for row in found})
    expected = [(name, line) for name, some in zip("ab", lines, strict=True) for line in some]
    for row, (name, line) in zip(found, expected, strict=True):
        csv = row.value if layout.codec is None else layout.codec.decode(row.value)
        assert (row.origin, csv) == (Origin(name, schema.id), line)
        assert row.offset is not None
        content = contents[name]
        assert content[row.offset :].startswith(line + b"\n")
        assert row.line == content[: row.offset].count(b"\n") + 1


@pytest.mark.parametrize("version", [1, 2])
@given(lines=st.tuples(LINES, LINES), batch_bytes=BATCH_BYTES)
def test_rows_of_categorized_have_split_and_category_and_from_format_2_on_their_source(
    version: int, lines: tuple[list[bytes], list[bytes]], batch_bytes: int
) -> None:
    outbox, _ = written(dict(zip("ab", lines, strict=True)), CSV, 5_000, version)

    async def find(_schema: str) -> Registered:
        return Registered(1, CSV)

    registry: Any = SimpleNamespace(find=find)
    splits = parse_split_by("*,Sex")
    categorizer = Categorizer(TOPICS, 1, splits, registry, formats=Formats(version, version))
    split_outbox = Outbox(lambda: NewBatch(batch_bytes))
    parts = list(itertools.chain.from_iterable(batches_of(outbox, TOPICS.rows)))
    asyncio.run(categorizer.categorize(parts, split_outbox))
    found = [
        row
        for batch in batches_of(split_outbox, TOPICS.categorized)
        for row in tapped(Stage.CATEGORIZED, batch, Layout(), 0)
    ]
    expected = [
        (name if version > 1 else None, *category, line)
        for name, some in zip("ab", lines, strict=True)
        for line in some
        for category in (("all", None, "all"), ("Sex", chr(line[0]), f"Sex={chr(line[0])}"))
    ]
    assert sorted(
        ((row.origin.source, row.origin.split, row.origin.category, row.origin.key, row.value) for row in found),
        key=str,
    ) == sorted(expected, key=str)
    assert {row.origin.schema for row in found} <= {CSV.id}


def test_of_rejected_the_rejections_are_found_and_not_the_notes() -> None:
    rejection = Rejection("/a.csv", 7, 99, "Sex", "no text", b"\xff,1", "encoding")
    encoded = [
        encode_begun_anew(BegunAnew("/a.csv")),
        encode_rejection(rejection),
        encode_replayed(Replayed(3)),
        encode_control(Ended("/a.csv", Tally(), 1, 1)),
    ]
    batch = [Record(number, b"key", value, headers) for number, (value, headers) in enumerate(encoded)]
    [row] = tapped(Stage.REJECTED, batch, Layout(), 0)
    assert row.origin == Origin("/a.csv", split="Sex", code="encoding", reason="no text")
    assert (row.kafka_offset, row.line, row.offset, row.value) == (1, 7, 99, b"\xff,1")


HEADERS = st.lists(st.tuples(st.sampled_from(["nacre", "source", "eol", "x"]), st.binary(max_size=8)), max_size=2)
ANY_VALUE: st.SearchStrategy[Any] = st.none() | st.binary(max_size=9)
FOREIGN = st.builds(Record, st.just(0), st.none() | st.binary(max_size=9), ANY_VALUE, HEADERS) | st.builds(
    RecordRun, st.just(0), st.none() | st.binary(max_size=9), st.lists(ANY_VALUE, min_size=1, max_size=3)
)


@given(st.sampled_from(Stage), FOREIGN)
def test_what_nacre_did_not_write_is_shown_all_the_same(stage: Stage, part: Record | RecordRun) -> None:
    rows = part.rows if isinstance(part, RecordRun) else [part.value]
    assert [row.value for row in tapped(stage, [part], Layout(), 0)] == [row or b"" for row in rows]


def valueless(offset: int, headers: list[tuple[str, bytes]]) -> Record:
    nothing: Any = None
    return Record(offset, b"key", nothing, headers)


@pytest.mark.parametrize("schema", [CSV, JSON], ids=["csv", "json"])
@pytest.mark.parametrize("start", range(5))
def test_records_without_values_behind_a_mark_are_empty_rows(schema: Schema, start: int) -> None:
    value, headers = encode_control(Mark("/a.csv", schema.id, 2, 9, b"\n", plain=True))
    nothing: Any = [None, None]
    batch: list[Record | RecordRun] = [
        Record(0, b"key", value, headers),
        valueless(1, [("x", b"")]),
        RecordRun(2, b"key", nothing),
        RecordRun(4, b"key", [b"M,1"]),
    ]
    rows = tapped(Stage.ROWS, batch, Layout.of(schema), start)
    assert [(row.kafka_offset, row.value) for row in rows] == [
        each for each in ((1, b""), (2, b""), (3, b""), (4, b"M,1")) if each[0] >= start
    ]
    assert [row.origin.source for row in rows] == ["/a.csv"] * len(rows)


@pytest.mark.parametrize("header", ["source", "nacre", "x"])
def test_a_record_of_rejected_without_a_value_is_an_empty_row(header: str) -> None:
    rejection = Rejection("/a.csv", 7, 99, "Sex", "no text", b"", "encoding")
    headers = encode_rejection(rejection)[1] if header == "source" else [(header, b"1")]
    assert [row.value for row in tapped(Stage.REJECTED, [valueless(0, headers)], Layout(), 0)] == [b""]


def test_a_row_that_is_no_json_leaves_the_places_behind_it_unknown() -> None:
    mark = Mark("/a.csv", JSON.id, 2, 9, b"\n", plain=True)
    run = OriginRun(0, [b'{"Sex":"M","Text":1}', b"not JSON", b'{"Sex":"F","Text":2}'], Origin("/a.csv"), mark)
    rows = list(rows_of(run, Place(Stage.ROWS, "t", 0, 0), Layout.of(JSON), 0, 3))
    assert [(row.line, row.offset) for row in rows] == [(2, 9), (3, 13), (None, None)]
