"""The id of OUTPUT_DIR: its path may differ in each container, and the same path may become another folder."""

import fcntl
import os
import re
import uuid
from pathlib import Path

import orjson

from common.errors import ConfigurationError
from common.protocol.output_folder import FOLDER_LOCK, HIDDEN, prefix_of
from services.sink.disk.errors import FolderReplacedError, naming
from services.sink.disk.output_root import OutputRoot, make_root

_SIZE = 64
# Increase it with every change that an older sink must not ignore.
_VERSION = 1
_ID = re.compile(rb"(?P<id>[0-9a-f]{32}) (?P<inode>[0-9]+)\n")


def check_pipeline(root: Path, prefix: str) -> None:
    """ConfigurationError if OUTPUT_DIR has the files of a pipeline with another TOPIC_PREFIX."""
    try:
        names = [path.name for path in (root / HIDDEN).iterdir()]
    except OSError:
        # The folder is not there yet; any other fault is reported once something is written to it.
        return
    prefixes = {found for name in names if (found := prefix_of(name)) is not None}
    if others := prefixes - {prefix}:
        raise ConfigurationError(
            f"OUTPUT_DIR={root} holds the files of TOPIC_PREFIX={min(others)}, this is TOPIC_PREFIX={prefix}: set the "
            "former, or another OUTPUT_DIR"
        )


def folder_id(root: Path) -> str:
    """The folder's id, which the first sink in the folder writes to a file there. Raises DiskError.

    The file also holds its own inode number. In a copy of the folder that number is wrong, so the copy gets a new id.
    """
    make_root(root)
    with OutputRoot(root) as output, naming(root / FOLDER_LOCK):
        # Open it for reading if there is an id: an unwritable folder is reported once rows are written.
        if output.status(FOLDER_LOCK) is not None and (known := _read(output.open(FOLDER_LOCK, os.O_RDONLY))):
            return known
        descriptor = output.open(FOLDER_LOCK, os.O_RDWR | os.O_CREAT, make_folders=True)
        try:
            # Held for an instant, so that sinks that start at once all get the id that the first one writes.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (known := _id_in(descriptor)):
                # The file is new, copied, or left half written by a sink that died here.
                known = uuid.uuid4().hex
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{known} {os.fstat(descriptor).st_ino}\n".encode(), 0)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return known


def check_folder(root: Path, known: str) -> None:
    """FolderReplacedError unless OUTPUT_DIR is the folder of this id. Raises DiskError."""
    if folder_id(root) != known:
        raise FolderReplacedError(root)


def read_folder_id(root: Path) -> str:
    """The folder's id, "" if it has none, as a copy of a folder; nothing is changed. Raises DiskError."""
    with OutputRoot(root) as output, naming(root / FOLDER_LOCK):
        return "" if output.status(FOLDER_LOCK) is None else _read(output.open(FOLDER_LOCK, os.O_RDONLY))


def encode_folder(known: str) -> str:
    """The metadata that names the folder of a committed offset."""
    return orjson.dumps({"version": _VERSION, "folder": known}).decode()


def decode_folder(metadata: str) -> str:
    """The folder that a committed offset's metadata names, "" if there is none that this version reads."""
    try:
        fields = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return ""
    is_ours = isinstance(fields, dict) and fields.get("version") == _VERSION
    return str(fields.get("folder", "")) if is_ours else ""


def _read(descriptor: int) -> str:
    try:
        return _id_in(descriptor)
    finally:
        os.close(descriptor)


def _id_in(descriptor: int) -> str:
    """The id in the file, "" if there is none, a part of one, or one that was written to another inode."""
    match = _ID.fullmatch(os.pread(descriptor, _SIZE, 0))
    return match["id"].decode() if match and int(match["inode"]) == os.fstat(descriptor).st_ino else ""
