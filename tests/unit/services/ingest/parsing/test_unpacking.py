"""Bytes from a pipe are unpacked if the first of them say so, however they are cut."""

import gzip
from collections.abc import Callable
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.parsing.unpacking import Stream

Pack = Callable[[bytes], bytes]

PACKERS = st.sampled_from([bytes, gzip.compress, zstandard.compress])


def read(data: bytes, edges: list[int]) -> bytes:
    stream = Stream()
    cuts = sorted({min(edge, len(data)) for edge in edges} | {0, len(data)})
    chunks = [data[begin:end] for begin, end in pairwise(cuts)]
    return b"".join(piece for chunk in [*filter(None, chunks), b""] for piece in stream.read(chunk))


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=3), PACKERS, st.lists(st.integers(0, 3000), max_size=5))
def test_a_pipe_holds_the_same_however_it_is_cut(parts: list[bytes], pack: Pack, edges: list[int]) -> None:
    data = b"".join(parts)
    if pack is bytes:
        # Other data hardly ever begins like this.
        assert data[:2] == b"\x1f\x8b" or data[1:3] in {b"\xb5\x2f", b"\x2a\x4d"} or read(data, edges) == data
    else:
        assert read(b"".join(map(pack, parts)), edges) == data


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_stream_that_is_cut_off_or_followed_by_other_bytes_is_an_error(pack: Pack) -> None:
    packed = pack(b"a,b\n1,2\n")
    with pytest.raises(EOFError, match="it ends within its compressed data"):
        read(packed[:-1], [3])
    with pytest.raises(ValueError, match=f"its compressed data ends at byte {len(packed)}, and what follows"):
        read(packed + b"garbage", [5])


def test_a_short_stream_is_not_held_back_forever() -> None:
    assert read(b"a\n", [1]) == b"a\n"
    assert read(b"", []) == b""
