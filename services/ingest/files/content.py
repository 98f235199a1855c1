"""What a file holds: its bytes as they are, or unpacked. Offsets count unpacked bytes."""

from pathlib import Path
from typing import IO, Protocol

from msgspec import Struct

from common.errors import SourceError
from common.protocol.progress import Progress
from services.ingest.files.finding import source_name
from services.ingest.files.reading import open_file, read_fingerprint, read_plain_chunk, stat_file
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.parsing.signatures import MAGIC_BYTES, find_packed
from services.ingest.parsing.unpacking import SLICE_BYTES, Unpacker

_SKIP_BYTES = 2**20
# A file with such a suffix that is not compressed is logged.
_PACKED_SUFFIXES = {".gz", ".zst"}


class Content(Protocol):
    """A file's content, read from front to back."""

    path: Path
    # Which file is to be at this path, "" for any. Reading raises MovedError if it is another one.
    expected: str

    @property
    def whole_only(self) -> bool:
        """Whether it can be read only once nothing is written to it any more."""

    def fingerprint(self, progress: Progress) -> Fingerprint:
        """The fingerprint of what was read of it. SourceError unless it still begins with that."""

    def read_chunk(self, offset: int, fingerprint: Fingerprint, size: int) -> bytes:
        """Up to `size` bytes from `offset` on, fewer only at the end. SourceError if the bytes before changed."""

    def keep_from(self, offset: int) -> None:
        """Forget what precedes this offset: it will not be read again."""

    def bytes_before(self, offset: int) -> int:
        """How many bytes of the file itself hold what precedes the offset that was read last."""


class PlainFile(Struct):
    """A file as it is."""

    path: Path
    expected: str = ""
    whole_only = False

    def fingerprint(self, progress: Progress) -> Fingerprint:  # noqa: D102 - as Content says
        return read_fingerprint(self.path, progress, self.expected)

    def read_chunk(self, offset: int, fingerprint: Fingerprint, size: int) -> bytes:  # noqa: D102 - same
        return read_plain_chunk(self.path, offset, fingerprint, size, self.expected)

    def keep_from(self, offset: int) -> None:  # noqa: D102 - same
        pass

    def bytes_before(self, offset: int) -> int:  # noqa: D102 - same
        return offset


class PackedFile:
    """A compressed file, with the state of its unpacking: a file that has changed is unpacked from its beginning.

    Between two reads it is closed, like a plain one.
    """

    whole_only = True

    def __init__(self, path: Path, expected: str = "") -> None:
        self.path = path
        self.expected = expected
        # The file when it was last read: a changed one counts as another file.
        self._signature: tuple[int, ...] | None = None
        self._trouble: SourceError | None = None
        self._begin()

    def _begin(self) -> None:
        self._packed_offset = 0
        self._unpacker = Unpacker()
        # Unpacked and not used yet, from this offset on.
        self._kept = b""
        self._kept_from = 0

    def fingerprint(self, progress: Progress) -> Fingerprint:  # noqa: D102 - as Content says
        fingerprint = self._skip(progress.offset)
        if progress.offset and (fingerprint.head_digest, fingerprint.tail_digest) != (progress.head, progress.tail):
            raise self._refuse(progress.offset)
        return fingerprint

    def read_chunk(self, offset: int, fingerprint: Fingerprint, size: int) -> bytes:  # noqa: D102 - same
        # Any offset but the current one is reached only by unpacking from the beginning.
        if (self._has_changed() or offset != self._kept_from) and self._skip(offset) != fingerprint:
            raise self._refuse(offset)
        self._kept += self._unpack(size - len(self._kept))
        return self._kept[:size]

    def keep_from(self, offset: int) -> None:  # noqa: D102 - same
        self._kept = self._kept[offset - self._kept_from :]
        self._kept_from = offset

    def bytes_before(self, offset: int) -> int:  # noqa: ARG002, D102 - same
        return self._packed_offset

    def _has_changed(self) -> bool:
        found = self.path.stat()
        signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        changed = signature != self._signature
        self._signature = signature
        if changed:
            self._trouble = None
        return changed

    def _skip(self, offset: int) -> Fingerprint:
        """Unpack from the beginning up to this offset."""
        self._has_changed()
        self._begin()
        fingerprint = Fingerprint()
        while self._kept_from < offset:
            data = self._unpack(min(_SKIP_BYTES, offset - self._kept_from - len(self._kept)))
            if not data and not self._kept:
                raise self._refuse(offset)
            self._kept += data
            used = self._kept[: offset - self._kept_from]
            fingerprint = fingerprint.after(used)
            self.keep_from(self._kept_from + len(used))
        return fingerprint

    def _unpack(self, size: int) -> bytes:
        """Unpack at least so many more bytes, fewer only at the end."""
        if self._trouble is not None:
            # The same file would fail in the same way again, after as much work.
            raise self._trouble.with_traceback(None)
        pieces: list[bytes] = []
        try:
            with open_file(self.path, self.expected) as file:
                file.seek(self._packed_offset)
                while size > 0 and (piece := self._next_piece(file)) is not None:
                    pieces.append(piece)
                    size -= len(piece)
                self._packed_offset = file.tell()
        except OSError:
            # What was unpacked is lost: begin again.
            self._signature = None
            raise
        except (ValueError, EOFError) as error:
            self._trouble = SourceError(f"{source_name(self.path)} cannot be unpacked: {error}")
            raise self._trouble from error
        return b"".join(pieces)

    def _next_piece(self, file: IO[bytes]) -> bytes | None:
        """What a few more packed bytes unpack to, which may be nothing; None at the end."""
        packed = file.read(SLICE_BYTES)
        if not packed:
            self._unpacker.end()
            return None
        return self._unpacker.unpack(packed)

    def _refuse(self, offset: int) -> SourceError:
        """Read no more of the file until it changes again: it is another file."""
        self._trouble = SourceError(
            f"{source_name(self.path)} changed within its first {offset} unpacked bytes, which were already read: "
            "put it back, or give the new content a new name"
        )
        return self._trouble


def content_of(path: Path, expected: str = "") -> Content:
    """The content of a file, unpacked if its first bytes say that it is packed, whatever its name says."""
    with open_file(path, expected) as file:
        is_packed = find_packed(file.read(MAGIC_BYTES)) is not None
    return PackedFile(path, expected) if is_packed else PlainFile(path, expected)


def is_misnamed(content: Content) -> bool:
    """Whether a file's name says that it is packed, and it is not."""
    return content.path.suffix.lower() in _PACKED_SUFFIXES and not content.whole_only


def is_source_file(path: Path, file: str, progress: Progress) -> bool:
    """Whether the file at this path, with the inode of the source's, is the source's, that is, holds what was read.

    OSError; MovedError if another file has its name by now.
    """
    is_of_its_end = _is_of_its_end(path, file, progress)
    if is_of_its_end is False:
        return False
    content = content_of(path, file)
    if is_of_its_end and content.whole_only:
        # Unpacking all of it again takes long.
        return True
    try:
        content.fingerprint(progress)
    except SourceError:
        return False
    # Ask for the time behind the content: before it, the file may have been made and not been written yet.
    return _is_of_its_end(path, file, progress) is not False


def _is_of_its_end(path: Path, file: str, progress: Progress) -> bool | None:
    """Whether a file has the time that the source's had at its end; None if it has another size, or none is known.

    A file written again with the inode of a deleted one may have the same bytes, but has another time.
    """
    found = stat_file(path, file)
    if not progress.ended or not progress.changed_at_ns or found.st_size != progress.size:
        return None
    return found.st_mtime_ns == progress.changed_at_ns
