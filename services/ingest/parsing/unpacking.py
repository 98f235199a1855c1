"""Compressed bytes → what they hold, as they come: gzip and zstd, one stream after the other."""

import zlib
from collections.abc import Iterator
from typing import Any

from services.ingest.parsing.signatures import MAGIC_BYTES, Packed, find_packed

# How many packed bytes are unpacked at once: even these may hold 32 MB if somebody means harm.
SLICE_BYTES = 1024
_PIECE_BYTES = 2**20
_GZIP_WBITS = 31


class Unpacker:
    """Unpacks a file from its beginning."""

    def __init__(self) -> None:
        self._stream: Any = None
        # Bytes that are too few to recognise a stream by, and how many have come in all.
        self._rest = b""
        self._taken = 0

    def unpack(self, packed: bytes) -> bytes:
        """What these further bytes unpack to, which may be nothing.

        ValueError if they are damaged, or if anything but a compressed stream follows one.
        """
        pieces: list[bytes] = []
        self._taken += len(packed)
        packed, self._rest = self._rest + packed, b""
        while packed:
            if self._stream is None:
                # A file may be padded with zeros.
                packed = packed.lstrip(b"\0")
                if len(packed) < MAGIC_BYTES:
                    self._rest = packed
                    break
                self._stream = self._begin(packed)
            pieces.append(self._decompress(packed))
            packed = b""
            if self._stream.eof:
                # Another compressed stream may follow.
                packed, self._stream = self._stream.unused_data, None
        return b"".join(pieces)

    def _decompress(self, packed: bytes) -> bytes:
        try:
            piece: bytes = self._stream.decompress(packed)
        except Exception as error:
            # Each format raises errors of its own.
            raise ValueError(error) from error
        return piece

    def end(self) -> None:
        """Check that nothing is missing at the end. EOFError if a stream is incomplete, ValueError as `unpack`."""
        if self._stream is not None or find_packed(self._rest) is not None:
            raise EOFError("it ends within its compressed data, so it is not complete")
        if self._rest:
            raise self._behind(self._rest)

    def _begin(self, packed: bytes) -> Any:
        match find_packed(packed[:MAGIC_BYTES]):
            case Packed.GZIP:
                return zlib.decompressobj(_GZIP_WBITS)
            case Packed.ZSTD:
                # Imported here because most runs do not need it.
                import zstandard  # noqa: PLC0415

                return zstandard.ZstdDecompressor().decompressobj()
        raise self._behind(packed)

    def _behind(self, packed: bytes) -> ValueError:
        return ValueError(
            f"its compressed data ends at byte {self._taken - len(packed)}, and what follows is not compressed: cut "
            "that off"
        )


class Stream:
    """Bytes that come only once, as from a pipe: unpacked if the first of them say so."""

    def __init__(self) -> None:
        self._first = b""
        self._is_known = False
        self._unpacker: Unpacker | None = None

    def read(self, chunk: bytes) -> Iterator[bytes]:
        """What a further chunk holds, in pieces of limited size; an empty chunk is the end.

        Errors are those of Unpacker.
        """
        data = chunk
        if not self._is_known:
            data = self._first = self._first + chunk
            if chunk and len(data) < MAGIC_BYTES:
                return
            self._is_known = True
            self._unpacker = Unpacker() if find_packed(data) is not None else None
        if self._unpacker is None:
            yield data
            return
        piece = bytearray()
        for start in range(0, len(data), SLICE_BYTES):
            piece += self._unpacker.unpack(data[start : start + SLICE_BYTES])
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)
        if not chunk:
            self._unpacker.end()
