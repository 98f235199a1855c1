"""The files that INPUT names, reading on where one was left, and telling whether it is still the same file."""

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import structlog

from common.errors import ConfigurationError, SourceError
from common.progress import Progress

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


def source_name(path: Path) -> str:
    """A file's name in every topic: its absolute path, as text also where it is not UTF-8."""
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")


def source_key(name: str) -> bytes:
    """The key of a source's rows: short, because every row carries it."""
    return blake2b(name.encode(), digest_size=6).hexdigest().encode()


def read_window(path: Path, progress: Progress) -> Window:
    """The window of what was read of a file. Raises SourceError unless the file still begins with it."""
    if progress.offset == 0:
        return Window()
    with path.open("rb") as file:
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


def read_on(path: Path, offset: int, window: Window, size: int) -> bytes:
    """Up to `size` bytes of a file from `offset` on. Raises SourceError unless the bytes before are as they were.

    The file is opened for each read: it holds no descriptor between two, and what was moved into its place is seen.
    """
    with path.open("rb") as file:
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
