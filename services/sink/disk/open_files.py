"""Category files: cut back to the ledger, and appended to; all of it through a `OutputRoot`."""

import os
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress

from common.errors import ServiceError
from services.sink.disk.errors import disk_error, naming
from services.sink.disk.output_root import OutputRoot

# Per partition; a process may have all of them, and on many systems 1,024 descriptors.
MAX_OPEN_FILES = 32
# More than one write takes, and what is cut off when one fails: a disk that was full has not become less so by that.
_ROOM_BYTES = 4 * 2**20


def cut_back(output: OutputRoot, path: str, length: int) -> None:
    """Cut a file back to what the ledger has of it. ServiceError when it is shorter: something else changed it."""
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
    """Remove a file that has been entered in the ledger and has no rows, if it was made at all."""
    cut_back(output, path, 0)
    output.remove(path)


def check_free(output: OutputRoot, path: str) -> None:
    """ServiceError when a file is there already that no ledger knows: it is somebody else's."""
    if output.status(path) is not None:
        raise ServiceError(
            f"{output.root / path} is there already and not this pipeline's: move it away, or set OUTPUT_DIR"
        )


def check_room(output: OutputRoot, path: str) -> None:
    """DiskError when the disk is full: asked before a file is cut back, because that alone would make some room.

    A sink that began with such room would be at work for a moment, fail, be cut back, and so on.
    """
    # By taking it for a file, `path`: quotas and blocks kept for root are known to the file system alone.
    output.remove(path)
    descriptor = output.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        # At once: nothing is left of it, whenever this process dies from here on.
        output.remove(path)
        with naming(output.root / path):
            _take_room(descriptor)
    finally:
        os.close(descriptor)


def _take_room(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        # A hundredth of what writing takes; a file system that cannot do it is written to by the C library.
        os.posix_fallocate(descriptor, 0, _ROOM_BYTES)
        return
    written = 0
    while written < _ROOM_BYTES:
        written += os.write(descriptor, bytes(_ROOM_BYTES - written))


class OpenFiles:
    """The files of one partition that are being written, and the folders in which they have made names."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, int] = OrderedDict()
        self._new_folders: set[str] = set()

    def append(self, output: OutputRoot, path: str, length: int, data: bytes) -> None:
        """Write behind the first `length` bytes. After an error the file is as it was, if the disk can still cut it."""
        descriptor = self._descriptor(output, path, length)
        if not length:
            # The file is new, and so may be each folder above it.
            folder = path
            while folder:
                folder = folder.rpartition("/")[0]
                self._new_folders.add(folder)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(descriptor, memoryview(data)[written:], length + written)
        except OSError as error:
            # Where this fails as well, the next `cut_back` does it.
            with suppress(OSError):
                os.ftruncate(descriptor, length)
            raise disk_error(output.root / path, error) from error

    def let_go(self, path: str) -> None:
        """Close a file that nothing more is added to."""
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def take_new_folders(self) -> Collection[str]:
        """The folders that got new names since this was last asked; "" is the root."""
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
        # A file with rows that is gone is not created again: there would be a hole where its rows were.
        descriptor = output.open(path, os.O_WRONLY | (0 if length else os.O_CREAT), make_folders=not length)
        size = os.fstat(descriptor).st_size
        if size != length:
            os.close(descriptor)
            raise changed(output, path, size, length)
        self._open[path] = descriptor
        return descriptor


def changed(output: OutputRoot, path: str, size: int, length: int) -> ServiceError:
    """The error for a file that has not the length that sink left it with."""
    return ServiceError(
        f"{output.root / path} has {size} bytes, not {length} as sink left it: something else changed it. Put "
        "it back, or begin again with another OUTPUT_DIR"
    )
