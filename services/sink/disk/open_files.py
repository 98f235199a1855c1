"""Category files: cut back to the ledger and appended to, always through an `OutputRoot`."""

import os
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from threading import Lock

from common.errors import ServiceError
from services.sink.disk.errors import disk_error, naming
from services.sink.disk.output_root import OutputRoot

# Per partition. A process may own all partitions, and many systems give it 1,024 descriptors.
MAX_OPEN_FILES = 32
# More than one append writes: a full disk on which a failed append was cut off must not seem to have room.
_ROOM_BYTES = 4 * 2**20
# Partitions begin side by side: the room that one takes for a moment must not look like a full disk to another.
_looking_for_room = Lock()


def cut_back(output: OutputRoot, path: str, length: int) -> None:
    """Cut a file back to its length in the ledger. ServiceError if it is shorter: something else changed it."""
    status = output.status(path)
    size = 0 if status is None else status.st_size
    if size > length:
        descriptor = output.open(path, os.O_WRONLY)
        try:
            with naming(output.root / path):
                os.ftruncate(descriptor, length)
        finally:
            os.close(descriptor)
    if size < length:
        raise changed(output, path, size, length)


def remove_empty(output: OutputRoot, path: str) -> None:
    """Remove a file that has no rows in the ledger, if it exists."""
    cut_back(output, path, 0)
    output.remove(path)


def check_free(output: OutputRoot, path: str) -> None:
    """ServiceError if there is a file at a path that no ledger has: it is somebody else's."""
    if output.status(path) is not None:
        raise ServiceError(
            f"{output.root / path} already exists and is not this pipeline's: move it away, or set another OUTPUT_DIR"
        )


def check_room(output: OutputRoot, path: str) -> None:
    """DiskError if the disk is full. Check it before files are cut back, because that alone makes some room.

    With no more room than that, sink would work for a moment, fail, cut back, and begin again without end.
    """
    # Take the room for a file, `path`: only the file system knows of quotas and of blocks reserved for root.
    output.remove(path)
    descriptor = output.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        # Unlinked at once, so that nothing is left of it whenever this process dies.
        output.remove(path)
        with naming(output.root / path), _looking_for_room:
            try:
                _take_room(descriptor)
            finally:
                # Given back before another looks.
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take_room(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        # A hundredth of the time that writing takes; the C library writes where the file system cannot allocate.
        os.posix_fallocate(descriptor, 0, _ROOM_BYTES)
        return
    written = 0
    while written < _ROOM_BYTES:
        written += os.write(descriptor, bytes(_ROOM_BYTES - written))


class OpenFiles:
    """The open files of one partition, the least recently used first, and the folders in which names are new."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, int] = OrderedDict()
        self._new_folders: set[str] = set()

    def __len__(self) -> int:
        return len(self._open)

    def append(self, output: OutputRoot, path: str, length: int, data: bytes) -> None:
        """Write after the first `length` bytes. A DiskError leaves the file as it was, if the disk can still cut it."""
        descriptor = self._descriptor(output, path, length)
        if not length:
            # The file is new, and each folder above it may be.
            folder = path
            while folder:
                folder = folder.rpartition("/")[0]
                self._new_folders.add(folder)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(descriptor, memoryview(data)[written:], length + written)
        except OSError as error:
            # If this fails as well, the next start cuts the file back.
            with suppress(OSError):
                os.ftruncate(descriptor, length)
            raise disk_error(output.root / path, error) from error

    def let_go(self, path: str) -> None:
        """Close a file to which nothing more is appended."""
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def take_new_folders(self) -> Collection[str]:
        """The folders that got new names since the last call; "" is the root."""
        folders, self._new_folders = self._new_folders, set()
        return folders

    def close(self) -> None:
        """Close every file."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, output: OutputRoot, path: str, length: int) -> int:
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        if len(self._open) >= MAX_OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        # Create no file that had rows: it would have a hole where they were.
        descriptor = output.open(path, os.O_WRONLY | (0 if length else os.O_CREAT), make_folders=not length)
        size = os.fstat(descriptor).st_size
        if size != length:
            os.close(descriptor)
            raise changed(output, path, size, length)
        self._open[path] = descriptor
        return descriptor


def changed(output: OutputRoot, path: str, size: int, length: int) -> ServiceError:
    """The error for a file whose length is not the one that sink left."""
    return ServiceError(
        f"{output.root / path} has {size} bytes, not {length} as sink left it: something else changed it. Put "
        "it back, or begin again with another OUTPUT_DIR"
    )
