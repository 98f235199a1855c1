"""The files about the whole folder: each is written in one step, and taken back before it would be wrong.

The writer creates a file under another name first, then reads the ledgers, and renames the file at the end. A sink that
takes files back says so in its ledger first, and then removes both names. So a file that has to be taken back is either
gone before it can be renamed, or removed after it was.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from common.protocol.output_folder import UNDER_WAY
from services.sink.disk.durability import make_durable
from services.sink.disk.errors import DiskError, naming
from services.sink.disk.output_root import OutputRoot


def create(root: Path, names: Iterable[str]) -> None:
    """Begin to write these files: create them, empty, under their names for what is under way. Raises DiskError."""
    with OutputRoot(root) as output:
        for name in names:
            os.close(output.open(name + UNDER_WAY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))


def write(root: Path, name: str, pieces: Iterable[bytes], moment_ns: int) -> bool:
    """Write a file that was created, which speaks of this moment, durably; False if it was taken back."""
    with OutputRoot(root) as output:
        try:
            descriptor = output.open(name + UNDER_WAY, os.O_WRONLY | os.O_TRUNC)
        except DiskError as error:
            return _false_if_gone(error)
        with naming(root / name), os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.utime(file.fileno(), ns=(moment_ns, moment_ns))
            os.fsync(file.fileno())
    return True


def publish(root: Path, names: Iterable[str]) -> bool:
    """Give files that are written their names, durably; False if one was taken back."""
    with OutputRoot(root) as output:
        try:
            for name in names:
                output.rename(name + UNDER_WAY, name)
        except DiskError as error:
            return _false_if_gone(error)
    make_durable(root, [], [""], lambda: False)
    return True


def write_in_place(root: Path, name: str, content: bytes, moment_ns: int) -> bool:
    """Write a file that was created, and give it its name; False if it was taken back."""
    return write(root, name, [content], moment_ns) and publish(root, [name])


def take_back(root: Path, names: Iterable[str]) -> None:
    """Remove these files, also those that are being written, durably. Raises DiskError."""
    is_changed = False
    with OutputRoot(root) as output:
        # In this order: what is renamed in between is removed after that.
        for path in (path for name in names for path in (name + UNDER_WAY, name)):
            # A disk that cannot be written to is reported where there is something to write.
            if output.status(path) is not None:
                output.remove(path)
                is_changed = True
    if is_changed:
        make_durable(root, [], [""], lambda: False)


def is_there(root: Path, name: str) -> bool:
    """Whether this file is in place."""
    with OutputRoot(root) as output:
        return output.status(name) is not None


def _false_if_gone(error: DiskError) -> bool:
    if error.errno != errno.ENOENT:
        raise error
    return False
