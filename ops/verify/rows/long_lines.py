"""Lines that come in many pieces: what is kept of one that is too long is bounded. Pure."""

from hashlib import blake2b
from typing import NamedTuple

from google_crc32c import extend

DIGEST_BYTES = 16


class WholeText(NamedTuple):
    """What is known of a text that was shortened: its size, digest and CRC-32C."""

    size: int
    digest: bytes
    checksum: int


class PartialLine:
    """The pieces of a line whose end has not come; of one longer than `most` bytes little more than those are kept."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self._most = most
        self._pieces: list[bytes] = []
        self._kept = 0
        # Of all but the pieces that are kept by then, once the line is too long.
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._checksum = 0
        self._is_long = False

    def keep(self, most: int) -> None:
        """Keep so many bytes, if it is not too long yet."""
        self._most = most

    def add(self, piece: bytes) -> None:
        """Add what follows."""
        self.size += len(piece)
        if self._is_long:
            self._sum(piece)
            return
        self._pieces.append(piece)
        self._kept += len(piece)
        if self._kept > self._most:
            self._is_long = True
            text = b"".join(self._pieces)
            self._sum(text)
            self._pieces = [text[: self._most + 1]]

    def _sum(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._checksum = extend(self._checksum, piece)

    @property
    def text(self) -> bytes:
        """What is kept."""
        return b"".join(self._pieces)

    @property
    def whole(self) -> WholeText | None:
        """What the whole line is, if not all of it is kept."""
        is_kept = not self._is_long or self.size == self._most + 1
        return None if is_kept else WholeText(self.size, self._digest.digest(), self._checksum)
