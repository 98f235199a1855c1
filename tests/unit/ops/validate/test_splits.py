from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from common.pipeline.schema_numbers import Registered
from common.rows.schema import Schema
from ops.validate.examination import CountedReason, ExaminedChunk, ReadPosition, examine_chunk
from ops.validate.splits import SplitTally
from services.ingest.parsing.options import ReadOptions
from services.split.categories.splits import parse_split_by

SCHEMA = Schema(b"a,b", ("a", "b"))
REGISTERED = Registered(1, SCHEMA)
KNOWN = {SCHEMA.id: REGISTERED}
ROWS = st.lists(st.tuples(st.sampled_from(["", "x", "y", "Ä/", '"q"']), st.sampled_from(["", "7", "07", "8", "no"])))


def chunks_of(rows: list[tuple[str, str]], at_once: int = 1000, schema: Schema = SCHEMA) -> list[ExaminedChunk]:
    position, chunks = ReadPosition(schema, 2, 4), []
    for start in range(0, len(rows), at_once):
        data = "".join(f"{a},{b}\n" for a, b in rows[start : start + at_once]).encode()
        chunks.append(examine_chunk(data, position, ReadOptions(), at_end=False, max_row_bytes=100))
        position = chunks[-1].position
    return chunks


def tallied(split_by: str, chunks: list[ExaminedChunk], registered: Registered = REGISTERED) -> SplitTally:
    [split] = parse_split_by(split_by)
    tally = SplitTally(split)
    for chunk in chunks:
        tally.add("s", registered, chunk)
    return tally


@given(rows=ROWS, at_once=st.integers(1, 5))
def test_every_row_is_in_one_file_or_rejected_however_the_rows_come(rows: list[tuple[str, str]], at_once: int) -> None:
    outcome = tallied("a+b:int", chunks_of(rows, at_once)).outcome(KNOWN)
    assert outcome == tallied("a+b:int", chunks_of(rows)).outcome(KNOWN)
    assert outcome.rows + outcome.rejections.count == len(rows)
    # A field in quotes has the same category as without them.
    expected = Counter((a.strip('"'), b.lstrip("0")) for a, b in rows if b != "no")
    assert (outcome.rows, outcome.files, outcome.complete) == (expected.total(), len(expected), True)
    assert sum(count for _, count in outcome.samples) == sum(sorted(expected.values(), reverse=True)[:5])


def test_files_are_named_as_sink_names_them() -> None:
    outcome = tallied("a", chunks_of([("x", "1"), ("", "1"), ("Ä/", "1"), ("x", "2")])).outcome(KNOWN)
    assert outcome.samples == (("a/x.csv", 2), ("a/~empty.csv", 1), ("a/Ä%2F.csv", 1))
    third = Registered(3, SCHEMA)
    outcome = tallied("*", chunks_of([("x", "1")]), third).outcome({SCHEMA.id: third})
    assert outcome.samples == (("all~3.csv", 1),)


def test_rows_of_another_schema_go_to_other_files() -> None:
    other = Registered(2, Schema(b"a,c", ("a", "c")))
    [split] = parse_split_by("a")
    tally = SplitTally(split)
    tally.add("s", REGISTERED, *chunks_of([("x", "1")]))
    tally.add("t", other, *chunks_of([("x", "1")], schema=other.schema))
    assert tally.outcome({**KNOWN, other.schema.id: other}).samples == (("a/x.csv", 1), ("a/x~2.csv", 1))


def test_rejected_rows_are_counted_by_reason_with_their_lines() -> None:
    # Line breaks within quotes count as lines.
    chunks = chunks_of([('"q\nq"', "no"), ("x", "7"), ("x", "no"), ("x", "-")])
    rejections = tallied("b:int", chunks).outcome(KNOWN).rejections
    assert rejections.reasons == (
        CountedReason("b: not an int: 'no'", 2, ("s:2", "s:5")),
        CountedReason("b: not an int: '-'", 1, ("s:6",)),
    )


def test_without_its_column_a_split_rejects_every_row() -> None:
    rejections = tallied("c", chunks_of([("x", "7")] * 5)).outcome(KNOWN).rejections
    assert rejections.reasons == (CountedReason('no column c: there are "a", "b"', 5, ("s:2", "s:3", "s:4")),)


def test_a_category_too_long_for_a_key_is_rejected_as_split_does() -> None:
    data = b"x" * 70_000 + b",1\n"
    chunk = examine_chunk(data, ReadPosition(SCHEMA, 2, 4), ReadOptions(), at_end=True, max_row_bytes=900_000)
    outcome = tallied("a", [chunk]).outcome(KNOWN)
    assert (outcome.rows, outcome.rejections.count) == (0, 1)
    assert "at most 65536" in outcome.rejections.reasons[0].text


@given(st.integers(1, 5), st.integers(1, 8))
def test_categories_beyond_the_limit_make_the_count_incomplete(bound: int, categories: int) -> None:
    [split] = parse_split_by("a")
    tally = SplitTally(split, max_categories=bound)
    for chunk in chunks_of([(str(number), "1") for number in range(categories)] * 2, at_once=3):
        tally.add("s", REGISTERED, chunk)
    outcome = tally.outcome(KNOWN)
    assert (outcome.files, outcome.complete) == (min(bound, categories), categories <= bound)
    assert outcome.rows == 2 * categories
