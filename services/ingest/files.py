"""The files that INPUT names, reading on where one was left, and telling whether it is still the same file."""

import errno
import glob
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import structlog

from common.errors import ConfigurationError, SourceError
from common.progress import Progress
from services.ingest.places import Found

log = structlog.get_logger()

STANDARD_INPUT = "-"
# gzip and zstd.
PACKED_SUFFIXES = frozenset({".gz", ".zst"})
# What sink keeps its ledgers in.
_OUTPUT_MARK = ".nacre"

CHUNK_BYTES = 2**20
_LEAST_BYTES = 2**14
# So much of a line is read before it is given up: what is held in memory has to have an end.
_LONGEST_LINE_BYTES = 2**26

# How many bytes at each end of what was read make its fingerprint.
_FINGERPRINT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Window:
    """The first and the last bytes of what was read of a source: a changed file does not have both."""

    head: bytes = b""
    tail: bytes = b""

    def moved(self, used: bytes) -> "Window":
        """The window after these further bytes."""
        head = self.head
        if len(head) < _FINGERPRINT_BYTES:
            head += used[: _FINGERPRINT_BYTES - len(head)]
        return Window(head, (self.tail + used[-_FINGERPRINT_BYTES:])[-_FINGERPRINT_BYTES:])

    @property
    def head_digest(self) -> str:
        """Fingerprint of the first bytes."""
        return blake2b(self.head, digest_size=8).hexdigest()

    @property
    def tail_digest(self) -> str:
        """Fingerprint of the last bytes."""
        return blake2b(self.tail, digest_size=8).hexdigest()


class InputError(ConfigurationError, OSError):
    """INPUT itself is not there, or cannot be looked into.

    Before the service has begun that ends it, as a wrong setting. Once it runs it is a failure of the disk like any
    other: a folder that was there may come back.
    """


def find_files(given: str, on_error: Callable[[OSError], None] | None = None) -> dict[str, Path]:
    """The files that INPUT names now, by source name (the absolute path as text), sorted.

    Raises InputError when a path without wildcards is not there at all, or cannot be looked into. A folder further
    below that cannot be is handed to `on_error` instead.
    """
    try:
        found = _find(given, on_error)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"INPUT {given}: cannot read {error.filename or given}: {error.strerror}") from error
    return {source_name(entry): entry for entry in sorted(found)}


def _find(given: str, on_error: Callable[[OSError], None] | None) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        # What `os.walk` would keep to itself.
        with os.scandir(path):
            return [entry for entry in _walk(path, on_error) if _is_csv(entry)]
    if path.exists():
        return [path]
    if glob.has_magic(given):
        matches = glob.iglob(given, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        return [match for match in map(Path, matches) if match.is_file()]
    raise InputError(f"INPUT {given}: there is no such file or folder")


def _walk(folder: Path, on_error: Callable[[OSError], None] | None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=on_error):
        if _OUTPUT_MARK in folders and parent != os.fspath(folder):
            # What comes out would go in again, without end.
            _tell_left_out(parent)
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield Path(parent, name)


@cache
def _tell_left_out(folder: str) -> None:
    log.warning("an output folder below INPUT is left out", folder=folder)


def _is_csv(path: Path) -> bool:
    """Whether a file in a folder is input, by its name."""
    packed = path.suffix.lower() in PACKED_SUFFIXES
    return (path.with_suffix("") if packed else path).suffix.lower() == ".csv"


def file_of(stat: os.stat_result) -> str:
    """Which file this is, whatever it is called."""
    return f"{stat.st_dev}:{stat.st_ino}"


def look_at(files: Mapping[str, Path]) -> dict[str, Found]:
    """Each file as it is now, but those that have gone since; one that cannot be asked has no more than its path."""
    looked_at = ((name, _found(path)) for name, path in files.items())
    return {name: found for name, found in looked_at if found.file or os.path.lexists(found.path)}


def _found(path: Path) -> Found:
    try:
        stat = path.stat()
    except OSError:
        return Found(path)
    return Found(path, file_of(stat), stat.st_size, stat.st_mtime_ns)


def look_beside(lost: Mapping[str, str]) -> dict[str, tuple[str, Found]]:
    """Those of these files (with their last paths) that are in the same folder under any other name, each with it.

    An editor's backup copy, whose name ends with ~, is not taken for the source.
    """
    beside: dict[str, tuple[str, Found]] = {}
    inodes = {int(file.rpartition(":")[2]) for file in lost}
    for folder in {os.path.dirname(path) for path in lost.values()}:  # noqa: PTH120 - of text, thousands at once
        try:
            with os.scandir(folder) as entries:
                # Its inode costs nothing, all else a question to the system.
                paths = [Path(each.path) for each in entries if each.inode() in inodes and not each.name.endswith("~")]
        except OSError:
            continue
        for path in paths:
            found = _found(path)
            if found.file in lost:
                beside[found.file] = (source_name(path), found)
    return beside


def may_name(given: str, name: str) -> bool:
    """Whether INPUT names a file with this source name, were it there."""
    path = Path(given)
    if path.is_dir():
        return name.startswith(source_name(path).rstrip("/") + "/") and _is_csv(Path(name))
    return fnmatchcase(name, source_name(path)) or name == source_name(path)


def source_name(path: Path) -> str:
    """A file's name in every topic: its absolute path, as text also where it is not UTF-8."""
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")


def source_key(name: str) -> bytes:
    """The key of a source's rows: short, because every row carries it."""
    return blake2b(name.encode(), digest_size=6).hexdigest().encode()


class MovedError(OSError):
    """Another file is at this path now."""


def open_file(path: Path, expected: str) -> BinaryIO:
    """Open a file to read. MovedError when it is not the expected one ("" for any)."""
    file = path.open("rb")
    if expected and file_of(os.fstat(file.fileno())) != expected:
        file.close()
        raise MovedError(errno.ESTALE, "another file has its name now", os.fspath(path))
    return file


def check_readable(path: Path) -> None:
    """OSError unless there is a file that can be read."""
    with path.open("rb"):
        pass


def read_window(path: Path, progress: Progress, expected: str = "") -> Window:
    """The window of what was read of a file. Raises SourceError unless the file still begins with it."""
    if progress.offset == 0:
        return Window()
    with open_file(path, expected) as file:
        size = file.seek(0, os.SEEK_END)
        if size < progress.offset:
            raise SourceError(
                f"{path} shrank to {size} bytes, {progress.offset} of it were read already: put it back, or give the "
                "new content a new name"
            )
        file.seek(0)
        head = file.read(min(progress.offset, _FINGERPRINT_BYTES))
        file.seek(max(0, progress.offset - _FINGERPRINT_BYTES))
        window = Window(head, file.read(min(progress.offset, _FINGERPRINT_BYTES)))
    if (window.head_digest, window.tail_digest) != (progress.head, progress.tail):
        raise _changed(path, progress.offset)
    return window


def read_on(path: Path, offset: int, window: Window, size: int, expected: str = "") -> bytes:
    """Up to `size` bytes of a file from `offset` on. Raises SourceError unless the bytes before are as they were.

    The file is opened for each read: it holds no descriptor between two, and what was moved into its place is seen.
    """
    with open_file(path, expected) as file:
        file.seek(offset - len(window.tail))
        before = file.read(len(window.tail))
        # A file that is followed has a few rows more at each look. A megabyte asked for and given back each time leaves
        # the memory in pieces: a process that followed 12 files grew by up to 70 MB in an hour.
        there = max(os.fstat(file.fileno()).st_size - offset, _LEAST_BYTES)
        data = file.read(min(size, there))
    if before != window.tail:
        raise _changed(path, offset)
    return data


def fit_chunk(chunk_bytes: int, path: Path, line: int, offset: int, *, stuck: bool) -> int:
    """How much to read at once from here on: more where a chunk of this size held no complete record (`stuck`).

    Raises SourceError where the line at `line` and `offset` does not end within what is held in memory.
    """
    fitting = 2 * chunk_bytes if stuck else CHUNK_BYTES
    if fitting > _LONGEST_LINE_BYTES:
        raise SourceError(
            f"{path}: line {line}, from byte {offset} on, does not end within {_LONGEST_LINE_BYTES} bytes: "
            "is this a CSV file?"
        )
    return fitting


def _changed(path: Path, offset: int) -> SourceError:
    return SourceError(
        f"{path} changed or shrank within its first {offset} bytes, which were read already: put it back, or give the "
        "new content a new name"
    )
