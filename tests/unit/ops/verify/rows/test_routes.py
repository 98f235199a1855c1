"""verify finds for each record the place that ingest, split and sink find for it."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from common.protocol.category_keys import file_key, parse_row_key
from common.protocol.identity import Formats
from common.rows.codec import JsonCodec
from common.rows.reasons import Code
from common.rows.schema import Dialect, RowFormat, Schema
from ops.verify.rows.records import Rules, lines_of, records_of
from ops.verify.rows.routes import router
from services.ingest.outgoing import encode_frames
from services.ingest.parsing.framing import Reject, frame
from services.split.categories.routing import compile_route
from services.split.categories.splits import parse_split_by

FIELDS = st.sampled_from(
    [b"M", b"F", b"", b'""', b"7", b"007", b"x", b"0.25", b"-1e2", b'"a,b"', b'"say ""so"""', b"\xe9", b"\x01", b"\x80"]
)
ROWS = st.lists(st.lists(FIELDS, min_size=1, max_size=3).map(b",".join), max_size=8)
SPLITS = st.lists(
    st.sampled_from(["*", "a", "b:int", "a+b:float/0.1", "c=b:float", "#3", "#2", "d=a+a", "none"]),
    min_size=1,
    max_size=4,
    unique=True,
).map(",".join)
LONGEST = st.sampled_from([12, 24, 1000])

# The split, the key of the file or the code, and the row.
Found = tuple[str, bytes | Code, bytes]


def by_services(data: bytes, split_by: str, schema: Schema, version: int, longest: int) -> Iterator[Found]:
    framed = frame(
        data, dialect=schema.dialect, columns=len(schema.columns), line=1, offset=0, at_end=True, max_row_bytes=longest
    )
    codec = JsonCodec(schema) if schema.row_format == "json" else None
    for encoded in encode_frames(framed.frames, codec, longest):
        if isinstance(encoded, Reject):
            yield "", encoded.reason.code, encoded.raw
            continue
        block, values = encoded
        for split in parse_split_by(split_by):
            routed = compile_route(split, schema, 3, Formats(version, version))(list(values), block.plain)
            for (key, _), rows in routed.groups.items():
                of_file = key if version == 1 else file_key(schema.id, *parse_row_key(key))
                yield from ((split.name, of_file, row if codec is None else codec.decode(row)) for row in rows)
            for index, reason in routed.rejects:
                row = values[index] if codec is None else codec.decode(values[index])
                yield split.name, reason.code, row


@given(
    ROWS,
    SPLITS,
    st.sampled_from(["utf-8", "latin-1", "cp1252"]),
    st.sampled_from(["csv", "json"]),
    st.sampled_from([1, 2]),
    LONGEST,
)
def test_every_row_has_its_place(
    rows: list[bytes], split_by: str, encoding: str, row_format: RowFormat, version: int, longest: int
) -> None:
    schema = Schema(b"a,b", ("a", "b"), Dialect(encoding=encoding), row_format)
    data = b"".join(row + b"\n" for row in rows)
    route = router(parse_split_by(split_by), schema, version, longest)
    found = [
        (split, destination, routed.text)
        for record in records_of(lines_of([data] if data else []), Rules(b",", b'"', 2, longest))
        for routed in [route(record)]
        for split, destination in routed.places
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, by_services(data, split_by, schema, version, longest)))


def test_a_category_that_is_too_long_is_rejected() -> None:
    schema = Schema(b"a,b", ("a", "b"))
    route = router(parse_split_by("a,b"), schema, 2, 10**6)
    [record] = records_of(lines_of([b"x" * 65_536 + b"," + b"y" * 65_534]), Rules(b",", b'"', 2, 10**6))
    assert [place.destination for place in route(record).places] == [
        Code.CATEGORY,
        file_key(schema.id, "b", ("y" * 65_534,)),
    ]
