"""What a file holds, in chunks, unpacked if it is packed: read with Python's gzip, and with zstandard."""

import gzip
import zlib
from collections.abc import Iterator
from enum import Enum, auto
from io import BufferedReader
from typing import BinaryIO

_CHUNK_BYTES = 2**20
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


def chunks_of(file: BinaryIO, packing: Packing) -> Iterator[bytes]:
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
    # Imported here because most folders have none.
    import zstandard  # noqa: PLC0415

    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
    try:
        yield from iter(lambda: reader.read(_CHUNK_BYTES), b"")
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
