"""What a file holds, in chunks, unpacked if it is packed: read with Python's gzip, and with zstandard."""

import gzip
import os
import zlib
from collections.abc import Iterator
from enum import Enum, auto
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 2**20
# Of zstd so many at once: they are unpacked whole, and may stand for thousands of times as many.
_PACKED_BYTES = 2**12
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Packing(Enum):
    """How a file is packed."""

    NONE = auto()
    GZIP = auto()
    ZSTD = auto()


def packing_by_name(path: str) -> Packing:
    """How sink has packed a file, by its name."""
    if path.endswith(".gz"):
        return Packing.GZIP
    return Packing.ZSTD if path.endswith(".zst") else Packing.NONE


def packing_by_content(file: BufferedReader) -> Packing:
    """How a source is packed, by its first bytes, whatever it is called."""
    first = file.peek(len(_ZSTD))[: len(_ZSTD)]
    if first.startswith(_GZIP):
        return Packing.GZIP
    # Or it begins with a frame to skip.
    is_skipped = first[1:] == b"\x2a\x4d\x18" and first[0] >> 4 == 5  # noqa: PLR2004 - 0x50 to 0x5f
    return Packing.ZSTD if first == _ZSTD or is_skipped else Packing.NONE


def unpacked_size(path: Path) -> int:
    """How many bytes a source holds. Raises OSError, and ValueError if it cannot be unpacked."""
    with path.open("rb") as file:
        packing = packing_by_content(file)
        if packing is Packing.NONE:
            return os.fstat(file.fileno()).st_size
        return sum(map(len, unpacked_chunks(file, packing)))


def unpacked_chunks(file: BinaryIO, packing: Packing) -> Iterator[bytes]:
    """What a file holds. Raises OSError, and ValueError if it cannot be unpacked."""
    try:
        match packing:
            case Packing.NONE:
                yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
            case Packing.GZIP:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield from iter(lambda: unpacked.read(_CHUNK_BYTES), b"")
            case Packing.ZSTD:
                yield from _from_zstd(file)
    except (EOFError, zlib.error) as error:
        raise ValueError(str(error)) from error


def _from_zstd(file: BinaryIO) -> Iterator[bytes]:
    """What all frames hold, one after the other; ValueError unless the file ends where a frame ends."""
    # Imported here because most folders have none.
    import zstandard  # noqa: PLC0415

    # A stream_reader does not say whether it came to the end of a frame: behind it is the checksum.
    frame, is_whole = zstandard.ZstdDecompressor().decompressobj(), True
    try:
        for packed in iter(lambda: file.read(_PACKED_BYTES), b""):
            left = packed
            while left:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                if unpacked := frame.decompress(left):
                    yield unpacked
                is_whole = frame.eof
                left = frame.unused_data if is_whole else b""
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if not is_whole:
        raise ValueError("it ends within a zstd frame")
