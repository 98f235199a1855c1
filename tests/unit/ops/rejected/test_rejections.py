"""Which rejected rows are selected and which can be sent again; a replayed row goes to its own split alone."""

import asyncio
import csv
import io
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches.record_runs import Record, RecordRun
from common.kafka.transaction import Outbox
from common.pipeline.schema_numbers import Registered
from common.pipeline.topics import Topics
from common.protocol.category_keys import parse_row_key
from common.protocol.identity import NEWEST_FORMATS
from common.protocol.messages import Mark, decode_control, encode_control
from common.protocol.rejections import (
    BegunAnew,
    Note,
    Rejection,
    Replayed,
    decode_rejection,
    encode_begun_anew,
    encode_rejection,
    encode_replayed,
)
from common.rows.schema import Dialect, Schema
from ops.rejected.rejections import (
    COLUMNS,
    Mended,
    OffsetSet,
    RejectionGroups,
    ReplayJudge,
    Selection,
    check_row,
    csv_line_of,
    read_mended,
)
from ops.rejected.replay import RejectedTopic
from ops.text_table import text_table
from services.sink.grouping import rejection_grouping
from services.sink.ledger.entries import REJECTED_KEY
from services.split.categories.splits import parse_split_by
from services.split.categorizing import Categorizer

TOPICS = Topics.under("t.")
SCHEMA = Schema(b"Sex,Rings", ("Sex", "Rings"))
REJECTION = Rejection("/a.csv", 7, 99, "Rings", "Rings: no int: 'x'", b"M,x")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
REJECTIONS = st.builds(Rejection, TEXTS, st.integers(1, 10**9), st.integers(0, 10**12), TEXTS, TEXTS, st.binary())


def judge_of(schema: Schema = SCHEMA) -> ReplayJudge:
    return ReplayJudge({"/a.csv": "s", "/none.csv": "", "/lost.csv": "gone"}, {"s": schema}, 1_000)


def records_of(outbox: Outbox, topic: str) -> list[Any]:
    found: list[Any] = []
    for (name, _), builders in outbox.batches.items():
        for builder in builders if name == topic else ():
            memory = MemoryRecords(bytes(builder._build()))  # noqa: SLF001 - what the producer sends
            batch = memory.next_batch()
            assert batch is not None
            found += list(batch)
    return found


def carried(split: str, row: bytes) -> tuple[list[tuple[str, bytes]], list[Rejection | Note]]:
    """The splits that get a row behind a mark for `split`, each with the row, and what is rejected."""
    registered = Registered(1, SCHEMA)

    async def find(_schema_id: str) -> Registered:
        return registered

    registry: Any = SimpleNamespace(find=find)
    outbox = Outbox(lambda: NewBatch(10_000))
    categorizer = Categorizer(TOPICS, 1, parse_split_by("*,Sex,Rings:int"), registry)
    value, headers = encode_control(Mark("/a.csv", "s", 7, 99, b"\n", plain=True, split=split))
    asyncio.run(categorizer.categorize([Record(0, b"", value, headers), RecordRun(1, b"", [row])], outbox))
    rows = [each for each in records_of(outbox, TOPICS.categorized) if not each.headers]
    placed = [(parse_row_key(each.key)[0], each.value) for each in rows]
    rejected = [decode_rejection(list(each.headers), each.value) for each in records_of(outbox, TOPICS.rejected)]
    return placed, rejected


def test_a_replayed_row_goes_to_its_split_alone() -> None:
    assert carried("Rings", b"M,7") == ([("Rings", b"M,7")], [])


def test_a_row_for_every_split_goes_to_all() -> None:
    placed, rejected = carried("", b"M,7")
    assert sorted(placed) == sorted((split.name, b"M,7") for split in parse_split_by("*,Sex,Rings:int"))
    assert rejected == []


def test_a_replayed_row_that_is_wrong_again_is_rejected_again_in_its_place() -> None:
    placed, [rejected] = carried("Rings", b"M,x")
    assert placed == []
    assert isinstance(rejected, Rejection)
    assert (rejected.source, rejected.line, rejected.offset, rejected.split) == ("/a.csv", 7, 99, "Rings")


def test_a_row_for_a_split_that_is_no_more_does_not_vanish() -> None:
    placed, [rejected] = carried("Height", b"M,7")
    assert placed == []
    assert rejected == Rejection(
        "/a.csv", 7, 99, "Height", "replayed for split Height, which SPLIT_BY does not have", b"M,7", "split"
    )


def test_a_mark_of_an_earlier_version_is_for_every_split() -> None:
    fields = {"source": "/a", "schema": "s", "line": 1, "offset": 2, "eol": "\n", "plain": True}
    mark = decode_control([("nacre", b"mark")], orjson.dumps(fields))
    assert mark == Mark("/a", "s", 1, 2, b"\n", plain=True)
    # And the other way round: in the format of an earlier version it is written as that reads it.
    assert orjson.loads(encode_control(mark, 1)[0]) == fields


@given(TEXTS)
def test_a_mark_keeps_its_split(split: str) -> None:
    mark = Mark("/a", "s", 1, 2, b"\n", plain=True, split=split)
    value, headers = encode_control(mark)
    assert decode_control(headers, value) == mark
    assert mark.passed([b"x"]).split == split


@given(st.integers(0, 2**62))
def test_a_note_is_read_as_it_was_written_and_is_no_line_of_rejected_csv(number: int) -> None:
    value, headers = encode_replayed(Replayed(number))
    assert decode_rejection(headers, value) == Replayed(number)
    assert rejection_grouping(NEWEST_FORMATS)([Record(0, b"", value, headers)]).piles == {}
    rejection, of_rejection = encode_rejection(REJECTION)
    piles = rejection_grouping(NEWEST_FORMATS)(
        [Record(0, b"", rejection, of_rejection), Record(1, b"", value, headers)]
    ).piles
    assert len(piles[REJECTED_KEY][0][1]) == 1


def test_a_note_that_a_source_is_read_again_is_decoded_as_it_was_encoded() -> None:
    value, headers = encode_begun_anew(BegunAnew("/ä.csv"))
    assert decode_rejection(headers, value) == BegunAnew("/ä.csv")
    assert rejection_grouping(NEWEST_FORMATS)([Record(0, b"", value, headers)]).piles == {}


def test_rejections_before_a_source_was_read_again_count_as_done() -> None:
    nothing: Any = None
    replayed = OffsetSet()
    replayed.add(9)
    rejected = RejectedTopic(nothing, TOPICS, 20, replayed, {"/a.csv": 7})
    of_a, of_b = (Rejection(f"/{name}.csv", 1, 0, "", "why", b"x") for name in "ab")
    assert [number for number in range(12) if rejected.is_done(number, of_a)] == [0, 1, 2, 3, 4, 5, 6, 9]
    assert [number for number in range(12) if rejected.is_done(number, of_b)] == [9]


@given(st.sets(st.integers(0, 5_000)), st.sets(st.integers(0, 5_000)))
def test_an_offset_set_holds_what_was_added(some: set[int], others: set[int]) -> None:
    offsets = OffsetSet()
    for offset in some:
        offsets.add(offset)
    assert {offset for offset in some | others if offset in offsets} == some


@given(st.lists(REJECTIONS, max_size=6))
def test_rows_that_show_prints_are_read_back_byte_for_byte(rejections: list[Rejection]) -> None:
    text = b",".join(column.encode() for column in COLUMNS) + b"\n"
    text += b"".join(csv_line_of(number, each) for number, each in enumerate(rejections))
    found = read_mended(io.StringIO(text.decode("latin-1"), newline=""))
    assert found.keys() == set(range(len(rejections)))
    for number, rejection in enumerate(rejections):
        assert found[number].is_of(rejection)
        assert found[number].row == rejection.raw


def test_a_spreadsheet_s_mark_and_line_endings_do_no_harm() -> None:
    lines = ["\xef\xbb\xbfid,source,line,offset,split,reason,row\r\n", '3,/a.csv,7,99,Rings,why,"M,8"\r\n']
    assert read_mended(lines) == {3: Mended(b"/a.csv", b"7", b"99", b"Rings", b"M,8")}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "no column id"),
        (["id,source,line,offset,split\n"], "no column row"),
        (["id,source,line,offset,split,row\n", "1,a\n"], "line 2: 2 fields"),
        (["id,source,line,offset,split,row\n", "x,a,1,1,,r\n"], "not a number"),
        (["id,source,line,offset,split,row\n", "1,a,1,1,,r\n", "1,a,1,1,,r\n"], "twice"),
        (["id,source,line,offset,split,row\n", '1,a,1,1,,"r\n'], "line 2"),
        (["\xef\xbb\xbfid;source;line;offset;split;reason;row\r\n"], "separated by semicolons"),
        (['"id"\t"source"\t"line"\t"offset"\t"split"\t"row"\n'], "separated by tabs"),
        (["\xff\xfei\x00d\x00,\x00\n"], "it is UTF-16"),
        (["i\x00d\x00,\x00s\x00\n"], "it is UTF-16"),
        (["PK\x03\x04\x14\x00\x06\n"], "spreadsheet's own format"),
        (["sep=;\n", "id;source\n"], "its first line is sep=;"),
    ],
)
def test_a_file_that_show_did_not_print_is_refused_in_one_line(lines: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        read_mended(lines)
    assert "\n" not in str(told.value)


@given(REJECTIONS, TEXTS)
def test_a_mended_row_is_of_its_own_rejection_alone(rejection: Rejection, other: str) -> None:
    line, offset = b"%d" % rejection.line, b"%d" % rejection.offset
    mended = Mended(rejection.source.encode(), line, offset, other.encode(), b"")
    assert mended.is_of(rejection) == (other == rejection.split)


def test_a_row_of_a_split_that_is_not_in_use_is_refused_with_the_splits_there_are() -> None:
    schemas = {"/a.csv": "s"}, {"s": SCHEMA}
    with pytest.raises(ValueError, match=r"split Rings is not in use, .* In use: Sex, all; "):
        ReplayJudge(*schemas, 1_000, {"all", "Sex"})(REJECTION, b"M,8")
    assert ReplayJudge(*schemas, 1_000, {"Rings"})(REJECTION, b"M,8")
    assert ReplayJudge(*schemas, 1_000, None)(REJECTION, b"M,8")
    # A row that ingest rejected is for all splits.
    assert ReplayJudge(*schemas, 1_000, {"all"})(replace(REJECTION, split=""), b"M,8")


def test_a_row_that_fits_is_sent_with_its_place() -> None:
    sending = judge_of()(REJECTION, b'"M",8')
    assert (sending.block.line, sending.block.offset, sending.block.plain, sending.value) == (7, 99, False, b'"M",8')


def test_json_values_are_objects() -> None:
    schema = Schema(b"Sex,Rings", ("Sex", "Rings"), row_format="json")
    assert orjson.loads(judge_of(schema)(REJECTION, b"M,8").value) == {"Sex": "M", "Rings": 8}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (b"M", "1 field, the header has 2"),
        (b"M,8,9", "3 fields"),
        (b"M,8\nF,9", "not one record"),
        (b"M,8\n", "not one record"),
        (b"M,8\r", "not one record"),
        (b'M,"8', "not closed"),
        (b"", "blank line"),
        (b"M," + b"8" * 2_000, "at most 1000"),
    ],
)
def test_bytes_that_are_not_one_row_of_the_schema_are_not_sent(row: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        judge_of()(REJECTION, row)


@pytest.mark.parametrize(
    ("source", "split", "why"),
    [("/none.csv", "", "no schema"), ("/new.csv", "", "no schema"), ("/lost.csv", "", "gone"), ("/a.csv", "", "mend")],
)
def test_a_row_that_cannot_be_sent_is_refused_with_the_reason(source: str, split: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        judge_of()(Rejection(source, 1, 0, split, "why", b"M,8"), b"M,8")


@given(st.lists(st.text("ab\",\n\r '", max_size=6), min_size=2, max_size=2))
def test_every_row_that_a_csv_writer_writes_can_be_sent(fields: list[str]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="", quoting=csv.QUOTE_ALL).writerow(fields)
    check_row(file.getvalue().encode(), SCHEMA, 1_000)


def test_a_row_is_read_in_its_source_s_dialect() -> None:
    schema = Schema(b"a;b", ("a", "b"), Dialect(b";", b"'", b"\r\n"))
    check_row(b"'x;y';z", schema, 100)
    with pytest.raises(ValueError, match="1 field"):
        check_row(b"x,y", schema, 100)


def test_filters_are_combined() -> None:
    assert Selection()(3, REJECTION)
    assert Selection("no int", None, "/a.csv", "Rings", frozenset([3]))(3, REJECTION)
    assert Selection(code="number")(3, replace(REJECTION, code="number"))
    assert not Selection(code="number")(3, REJECTION)
    assert not Selection(split="")(3, REJECTION)
    assert not Selection(ids=frozenset([4]))(3, REJECTION)
    assert not Selection("other")(3, REJECTION)


def test_groups_beyond_the_limit_are_counted_together() -> None:
    groups = RejectionGroups(most=2)
    for line in (5, 3, 9):
        groups.add("why", Rejection("/a", line, 0, "s", "why", b""), replayed=line == 3)
    group = groups.groups["why", "s", "/a"]
    assert (group.rows, group.replayed, group.first_line, group.last_line) == (3, 1, 3, 9)
    for number in range(10):
        groups.add(str(number), REJECTION)
    assert len(groups.groups) == 3
    assert sum(group.rows for group in groups.groups.values()) == 13


def test_a_table_holds_nothing_that_a_terminal_obeys() -> None:
    assert text_table(("a", "b"), [("x\x1b[2J", "1")]) == "a         b\nx\\x1b[2J  1\n"
