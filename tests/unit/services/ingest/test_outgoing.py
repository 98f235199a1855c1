"""Blocks of rows as the values of their records."""

import pytest

from common.rows.codec import JsonCodec
from common.rows.loops import take_out
from common.rows.reasons import Code
from common.rows.schema import Schema
from services.ingest.outgoing import encode_frames
from services.ingest.parsing.framing import Reject, RowBlock

CODEC = JsonCodec(Schema(b"a,b", ("a", "b"), row_format="json"))
LONGEST = len(b'{"a":1,"b":"long"}')


def encoded(*rows: bytes) -> list[tuple[str, list[bytes]]]:
    """What comes of a block of these rows: rows and their values, or a rejected row and why."""
    found: list[tuple[str, list[bytes]]] = []
    for each in encode_frames([RowBlock(list(rows), b"\n", 2, 10, plain=True)], CODEC, LONGEST):
        if isinstance(each, Reject):
            found.append((each.reason.code, [each.raw]))
        else:
            found.append((f"line {each[0].line}", list(take_out(each[1]))))
    return found


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([b"1,x", b"2,long"], [("line 2", [b'{"a":1,"b":"x"}', b'{"a":2,"b":"long"}'])]),
        ([b"1,x", b"2,longer", b"3,y"], [
            ("line 2", [b'{"a":1,"b":"x"}']), (Code.TOO_LONG, [b"2,longer"]), ("line 4", [b'{"a":3,"b":"y"}']),
        ]),
        ([b"1,\xff", b"3,y"], [(Code.ENCODING, [b"1,\xff"]), ("line 3", [b'{"a":3,"b":"y"}'])]),
    ],
    ids=["all as usual", "one too long", "one that is no text"],
)  # fmt: skip
def test_a_row_that_has_no_value_is_rejected_and_ends_the_block_before_it(
    rows: list[bytes], expected: list[tuple[str, list[bytes]]]
) -> None:
    assert encoded(*rows) == expected
