"""Which folder OUTPUT_DIR is: paths differ from one container to the next, and the same path may be another folder."""

import fcntl
import os
import re
import uuid
from pathlib import Path

import orjson

from common.errors import ConfigurationError
from common.protocol.output_folder import FOLDER_LOCK, HIDDEN, prefix_of
from services.sink.disk.errors import naming
from services.sink.disk.output_root import OutputRoot, make_root

_SIZE = 64
# Raised with every change that an older sink must not ignore.
_VERSION = 1
_ID = re.compile(rb"(?P<id>[0-9a-f]{32}) (?P<inode>[0-9]+)\n")


def check_pipeline(root: Path, prefix: str) -> None:
    """ConfigurationError when OUTPUT_DIR has the files of a pipeline with another TOPIC_PREFIX."""
    try:
        names = [path.name for path in (root / HIDDEN).iterdir()]
    except OSError:
        # It is not there yet, or what is wrong with it is for those to say who write to it.
        return
    prefixes = {found for name in names if (found := prefix_of(name)) is not None}
    if others := prefixes - {prefix}:
        raise ConfigurationError(
            f"OUTPUT_DIR={root} holds the files of TOPIC_PREFIX={min(others)}, this is TOPIC_PREFIX={prefix}: set the "
            "former, or another OUTPUT_DIR"
        )


def folder_id(root: Path) -> str:
    """The folder's id, given to it by whichever sink is the first in it. Raises DiskError.

    With it stands the number of the file that it is in: a copy of the folder has another, and gets an id of its own.
    """
    make_root(root)
    with OutputRoot(root) as output, naming(root / FOLDER_LOCK):
        # Only looked at, where it has one: what makes the folder unwritable is for those to say who write rows.
        if output.status(FOLDER_LOCK) is not None and (known := _read(output.open(FOLDER_LOCK, os.O_RDONLY))):
            return known
        descriptor = output.open(FOLDER_LOCK, os.O_RDWR | os.O_CREAT, make_folders=True)
        try:
            # Held for an instant: all sinks that start at once get the id that the first one writes.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (known := _id_in(descriptor)):
                # New, copied, or written by a sink that died amid this.
                known = uuid.uuid4().hex
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{known} {os.fstat(descriptor).st_ino}\n".encode(), 0)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return known


def encode_folder(known: str) -> str:
    """The folder that a committed offset is of, as that commit's metadata."""
    return orjson.dumps({"version": _VERSION, "folder": known}).decode()


def decode_folder(metadata: str) -> str:
    """The folder that a committed offset is of, "" where it says none that this version reads."""
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
    """The id, "" where there is none, a part of one, or one that was given to another file."""
    match = _ID.fullmatch(os.pread(descriptor, _SIZE, 0))
    return match["id"].decode() if match and int(match["inode"]) == os.fstat(descriptor).st_ino else ""
