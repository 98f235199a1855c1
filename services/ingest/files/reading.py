"""Reading on where a file was left, and checking that it is still the same file."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from common.errors import SourceError
from common.protocol.progress import Progress
from services.ingest.files.finding import file_of, source_name
from services.ingest.files.listing import special_kind
from services.ingest.parsing.fingerprint import FINGERPRINT_BYTES, Fingerprint

_T = TypeVar("_T")

CHUNK_BYTES = 2**20
_LEAST_BYTES = 2**14
# The most of a line that is held in memory: a longer one is refused.
LONGEST_LINE_BYTES = 2**26


class MovedError(OSError):
    """Another file is at this path now."""


def moved(path: Path) -> MovedError:
    """The error for a path at which another file is now."""
    return MovedError(errno.ESTALE, "another file has its name now", os.fspath(path))


class UnreachableError(OSError):
    """A file's disk does not answer. No subclass of the errors that a connection to Kafka raises."""


async def ask_file(call: Callable[..., _T], *arguments: Any) -> _T:
    """Call, in a thread, what waits for a disk, which may be at the other end of a network.

    UnreachableError in place of TimeoutError and ConnectionError, which are Kafka's.
    """
    try:
        return await asyncio.to_thread(call, *arguments)
    except (TimeoutError, ConnectionError) as error:
        raise UnreachableError(*error.args) from error


def open_file(path: Path, expected: str = "") -> BinaryIO:
    """Open a file to read. MovedError if it is not the expected one ("" for any), OSError if it is no regular file."""
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - Path.open takes no opener
    found = os.fstat(file.fileno())
    special = special_kind(found.st_mode)
    if special is None and expected in {"", file_of(found)}:
        return file
    file.close()
    if special is not None:
        raise OSError(errno.EINVAL, f"it is {special}, not a file", os.fspath(path))
    raise moved(path)


def stat_file(path: Path, expected: str = "") -> os.stat_result:
    """The file's status. MovedError if it is not the expected one ("" for any)."""
    found = path.stat()
    if expected not in {"", file_of(found)}:
        raise moved(path)
    return found


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a named pipe may have replaced the file, and nothing may ever write to it."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def check_readable(path: Path) -> None:
    """OSError unless there is a readable file."""
    with open_file(path):
        pass


def read_fingerprint(path: Path, progress: Progress, expected: str = "") -> Fingerprint:
    """The fingerprint of what was read of a file. SourceError unless the file still begins with it."""
    if progress.offset == 0:
        return Fingerprint()
    with open_file(path, expected) as file:
        size = file.seek(0, os.SEEK_END)
        # A file of procfs has no size.
        if 0 < size < progress.offset:
            raise SourceError(
                f"{source_name(path)} shrank to {size} bytes, and {progress.offset} were already read: put it back, "
                "or give the new content a new name"
            )
        file.seek(0)
        head = file.read(min(progress.offset, FINGERPRINT_BYTES))
        file.seek(max(0, progress.offset - FINGERPRINT_BYTES))
        fingerprint = Fingerprint(head, file.read(min(progress.offset, FINGERPRINT_BYTES)))
    if (fingerprint.head_digest, fingerprint.tail_digest) != (progress.head, progress.tail):
        raise _changed(path, progress.offset)
    return fingerprint


def read_plain_chunk(path: Path, offset: int, fingerprint: Fingerprint, size: int, expected: str = "") -> bytes:
    """Up to `size` bytes of a file from `offset` on. SourceError unless the bytes before are as they were.

    The file is opened for each read: no descriptor stays open in between, and a file that replaced it is noticed.
    """
    with open_file(path, expected) as file:
        file.seek(offset - len(fingerprint.tail))
        before = file.read(len(fingerprint.tail))
        # Ask for no more than there is: a followed file has a few more rows at each look, and a megabyte allocated and
        # freed each time fragments the memory. A process that followed 12 files grew by up to 70 MB in an hour.
        there = max(os.fstat(file.fileno()).st_size - offset, _LEAST_BYTES)
        data = file.read(min(size, there))
        # The file may hold more than its size says: one of procfs has size 0.
        while len(data) < size and (more := file.read(min(size - len(data), _LEAST_BYTES))):
            data += more
    if before != fingerprint.tail:
        raise _changed(path, offset)
    return data


def fit_chunk(chunk_bytes: int, source: str, line: int, offset: int, *, stuck: bool) -> int:
    """How many bytes to read next: more if a chunk of this size held no complete record (`stuck`).

    SourceError if the line at `line` and `offset` does not end within what is held in memory.
    """
    fitting = 2 * chunk_bytes if stuck else CHUNK_BYTES
    if fitting > LONGEST_LINE_BYTES:
        raise SourceError(endless_line(source, line, offset))
    return fitting


def endless_line(source: str, line: int, offset: int) -> str:
    """Say in one line that a record does not end within what is held in memory."""
    return (
        f"{source}: line {line}, from byte {offset} on, does not end within {LONGEST_LINE_BYTES} bytes: is this a CSV "
        "file?"
    )


def _changed(path: Path, offset: int) -> SourceError:
    return SourceError(
        f"{source_name(path)} changed or shrank within its first {offset} bytes, which were already read: put it back, "
        "or give the new content a new name"
    )
