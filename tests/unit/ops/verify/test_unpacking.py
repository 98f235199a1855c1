"""A packed file is read as whole only if it is."""

import gzip
from io import BytesIO

import pytest
import zstandard

from ops.verify.unpacking import Packing, unpacked_chunks

CONTENT = b"".join(b"row,%d\n" % n for n in range(20_000))
SKIPPED = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def unpacked(packed: bytes, packing: Packing = Packing.ZSTD) -> bytes:
    chunks = list(unpacked_chunks(BytesIO(packed), packing))
    # To readers of lines an empty one is the end.
    assert all(chunks)
    return b"".join(chunks)


@pytest.mark.parametrize("packed", [zstd(CONTENT), zstd(CONTENT[:9]) + zstd(b"") + SKIPPED + zstd(CONTENT[9:])])
def test_all_frames_are_read(packed: bytes) -> None:
    assert unpacked(packed) == CONTENT


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 30])
@pytest.mark.parametrize("before", [b"", zstd(CONTENT)])
def test_a_file_that_is_cut_within_its_last_bytes_is_not_whole(cut: int, before: bytes) -> None:
    with pytest.raises(ValueError, match="ends within a zstd frame"):
        unpacked(before + zstd(CONTENT)[:-cut])


@pytest.mark.parametrize("garbage", [b"x", b"garbage", b"\0" * 5_000])
def test_what_follows_the_last_frame_has_to_be_a_frame(garbage: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        unpacked(zstd(CONTENT) + garbage)
    with pytest.raises((ValueError, OSError)):
        unpacked(gzip.compress(CONTENT) + b"garbage", Packing.GZIP)
