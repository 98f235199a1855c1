from hypothesis import given
from hypothesis import strategies as st

from common.batches.record_runs import Record, key_of
from common.protocol.identity import Formats
from common.protocol.messages import EOL, Ended, encode_control
from common.protocol.rejections import Rejection, encode_rejection
from common.rows.codec import JsonCodec, parse_fields
from common.rows.reasons import Code
from common.rows.schema import Dialect, Schema
from common.rows.tally import Tally
from services.sink.grouping import CsvRun, Grouped, ValueRun, group_by_key, rejection_grouping
from services.sink.rendering import Layout, csv_runs, layout_of, rejected_layout, render
from tests.harness.record_runs import to_runs

ABC = Schema(b"a,b", ("a", "b"))


def record(key: bytes, value: bytes, eol: bytes | None) -> Record:
    return Record(0, key, value, [] if eol is None else [(EOL, eol)])


RECORDS = st.lists(
    st.builds(record, st.sampled_from([b"k", b"l"]), st.binary(max_size=3), st.sampled_from([None, None, b"\r\n", b""]))
)


def plain_twin(records: list[Record], key: bytes, layout: Layout) -> bytes:
    """Row by row: a line without an ending gets one before the next row."""
    assert layout.header is not None
    written = layout.header + layout.eol
    open_line = False
    for item in records:
        if item.key == key:
            eol = dict(item.headers).get(EOL, layout.eol)
            written += (layout.eol if open_line else b"") + item.value + eol
            open_line = not eol
    return written


@given(RECORDS, st.data())
def test_a_file_is_the_same_however_its_rows_are_batched(records: list[Record], data: st.DataObject) -> None:
    layout = layout_of(ABC)
    written = {b"k": b"", b"l": b""}
    counts = {b"k": 0, b"l": 0}
    open_lines = {b"k": 0, b"l": 0}
    rest = records
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        piles = group_by_key(to_runs(rest[:size])).piles
        rest = rest[size:]
        for key, runs in piles.items():
            rendered = render(csv_runs(runs, layout), layout, empty=not written[key], open_line=open_lines[key])
            # The bytes that are there never change.
            written[key] += rendered.data
            counts[key] += rendered.rows
            open_lines[key] = rendered.open_line
    for key, content in written.items():
        rows = [item.value for item in records if item.key == key]
        assert content == (plain_twin(records, key, layout) if rows else b"")
        assert counts[key] == len(rows)


def test_a_source_s_end_is_found_and_is_no_row() -> None:
    value, headers = encode_control(Ended("s", Tally(), 0, 1))
    assert group_by_key([Record(0, b"", value, headers)]) == Grouped({}, [Ended("s", Tally(), 0, 1)])
    assert group_by_key(to_runs([record(b"k", b"1,2", None)])).ends == []


def test_json_rows_become_csv_rows_again() -> None:
    schema = Schema(b"a,b", ("a", "b"), row_format="json")
    values = [JsonCodec(schema).encode(row) for row in (b"x,0.50", b'"y,z",07')]
    layout = layout_of(schema)
    rendered = render(csv_runs([ValueRun(None, values)], layout), layout, empty=True, open_line=False)
    assert rendered.data == b'a,b\nx,0.50\n"y,z",07\n'
    assert rendered.rows == 2


def test_a_schema_without_header_gives_files_without_header() -> None:
    rendered = render([CsvRun(b"\n", [b"1,2"])], layout_of(Schema(None, ("#1", "#2"))), empty=True, open_line=False)
    assert rendered.data == b"1,2\n"


@given(
    st.builds(
        Rejection,
        *(st.just("/s.csv"), st.just(7), st.just(99), st.text(max_size=3), st.text(), st.binary()),
        code=st.sampled_from(Code),
    ),
    st.sampled_from(
        [(1, b"source,line,offset,split,reason,row\n"), (2, b"source,line,offset,split,code,reason,row\n")]
    ),
)
def test_a_rejected_row_is_one_csv_row_with_its_bytes(rejection: Rejection, written: tuple[int, bytes]) -> None:
    version, header = written
    value, headers = encode_rejection(rejection)
    [pile] = rejection_grouping(Formats(version, version))([Record(0, b"", value, headers)]).piles.values()
    [(_, [row], _)] = pile
    fields = dict(zip(header.rstrip().split(b","), parse_fields(row, Dialect()), strict=True))
    assert fields.pop(b"code", rejection.code.encode()) == rejection.code.encode()
    assert [*fields.values()] == [
        *(b"/s.csv", b"7", b"99", rejection.split.encode(), rejection.reason.encode(), rejection.raw)
    ]
    layout = rejected_layout(version)
    rendered = render(csv_runs(pile, layout), layout, empty=True, open_line=False)
    assert rendered.data == header + row + b"\n"


@given(st.lists(st.builds(record, st.sampled_from([b"k", b"l"]), st.binary(max_size=3), st.none())))
def test_usual_rows_are_grouped_as_one_by_one(records: list[Record]) -> None:
    expected: dict[bytes, list[bytes]] = {}
    for item in records:
        expected.setdefault(key_of(item), []).append(item.value)
    assert list(group_by_key(to_runs(records)).piles.items()) == [
        (key, [ValueRun(None, rows)]) for key, rows in expected.items()
    ]
