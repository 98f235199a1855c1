"""Category files: locked, cut back to the ledger, appended to, made safe."""

import asyncio
import errno
import fcntl
import os
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from common.errors import ServiceError

log = structlog.get_logger()

# Per partition; a process may have all of them, and on many systems 1,024 descriptors.
_MAX_OPEN_FILES = 32
_LOCK_INTERVAL_S = 0.05
# More than one write takes, and what is cut off when one fails: a disk that was full has not become less so by that.
_ROOM_BYTES = 4 * 2**20
_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make it writable",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
}


class DiskError(OSError):
    """The disk fails sink. `text` is the whole message; with `number`, an errno, goes what a person can do."""

    def __init__(self, number: int, text: str) -> None:
        remedy = _REMEDIES.get(number, "mend it")
        super().__init__(number, f"{text}: {remedy}, sink goes on by itself")

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let every failure name the path: those of a descriptor know none."""
    try:
        yield
    except OSError as error:
        raise DiskError(error.errno or errno.EIO, f"cannot write {path}: {error.strerror}") from error


class Lock:
    """A partition's lock below OUTPUT_DIR: whoever holds it is the one writer of the partition's files.

    The kernel gives it back when its holder dies, however it dies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    async def take(self, stop: asyncio.Event) -> bool:
        """Wait for the lock; False when `stop` is set before."""
        with _naming(self._path):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        told = False
        while not stop.is_set():
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    log.info("waiting for the lock of another sink", lock=str(self._path))
                told = True
                await asyncio.sleep(_LOCK_INTERVAL_S)
            else:
                return True
        return False

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Folder:
    """The files below OUTPUT_DIR that one partition writes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: OrderedDict[str, int] = OrderedDict()
        self._new_folders: set[Path] = set()

    def cut_back(self, path: str, length: int) -> None:
        """Cut a file back to what the ledger has of it. ServiceError when it is shorter: something else changed it."""
        full = self._root / path
        with _naming(full):
            try:
                size = full.lstat().st_size
            except FileNotFoundError:
                size = 0
            if size > length:
                os.truncate(full, length)
        if size < length:
            raise ServiceError(
                f"{full} has {size} bytes, its ledger says {length}: something else changed it. Put it back, or begin "
                "anew with another OUTPUT_DIR"
            )

    def check_free(self, path: str) -> None:
        """ServiceError when a file is there already that no ledger knows: it is somebody else's."""
        full = self._root / path
        try:
            # Not `lexists`: it takes a failure for a file that is not there, which would be cut to nothing later.
            with _naming(full):
                full.lstat()
        except DiskError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        raise ServiceError(f"{full} is there already and not this pipeline's: move it away, or set OUTPUT_DIR")

    def append(self, path: str, length: int, data: bytes) -> None:
        """Write behind the first `length` bytes. After an error the file is as it was, if the disk can still cut it."""
        with _naming(self._root / path):
            descriptor = self._descriptor(path)
            written = 0
            try:
                while written < len(data):
                    written += os.pwrite(descriptor, memoryview(data)[written:], length + written)
            except OSError:
                # Where this fails as well, the next `cut_back` does it.
                with suppress(OSError):
                    os.ftruncate(descriptor, length)
                raise

    def take_new_folders(self) -> Collection[Path]:
        """The folders that got new names since this was last asked."""
        folders, self._new_folders = self._new_folders, set()
        return folders

    def close(self) -> None:
        """Close every file."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, path: str) -> int:
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        if len(self._open) >= _MAX_OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        full = self._root / path
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(full, flags, 0o644)
        except FileNotFoundError:
            full.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(full, flags, 0o644)
        self._open[path] = descriptor
        # The file may be new, and so may each folder above it.
        self._new_folders.update(folder for folder in full.parents if folder.is_relative_to(self._root))
        return descriptor


def check_room(folder: Path) -> None:
    """DiskError when the disk is full: asked before a file is cut back, because that alone would make some room.

    A sink that began with such room would be at work for a moment, fail, be cut back, and so on.
    """
    # By a file without a name: quotas and blocks kept for root are known to the file system alone.
    with _naming(folder), TemporaryFile(dir=folder, buffering=0) as file:
        written = 0
        while written < _ROOM_BYTES:
            written += file.write(bytes(_ROOM_BYTES - written))


def sync(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Make what was written to these files safe from a power cut, and the names that are new in these folders."""
    for path in files:
        _fsync(path, os.O_WRONLY)
    for path in folders:
        _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def _fsync(path: Path, flags: int) -> None:
    with _naming(path):
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
