"""Which folder OUTPUT_DIR is: paths differ from one container to the next, and the same path may be another folder."""

import fcntl
import os
import re
import uuid
from pathlib import Path

import orjson

from services.sink.disk_errors import naming
from services.sink.tree import Tree, make_root

HIDDEN = ".nacre"
_PATH = f"{HIDDEN}/folder.lock"
_SIZE = 64
# Raised with every change that an older sink must not ignore.
_VERSION = 1
_ID = re.compile(rb"[0-9a-f]{32}\n")


def folder_id(root: Path) -> str:
    """The folder's id, given to it by whichever sink is the first in it. Raises DiskError."""
    make_root(root)
    with Tree(root) as tree, naming(root / _PATH):
        # Only looked at, where it has one: what makes the folder unwritable is for those to say who write rows.
        if tree.status(_PATH) is not None and (known := _read(tree.open(_PATH, os.O_RDONLY))):
            return known
        descriptor = tree.open(_PATH, os.O_RDWR | os.O_CREAT, make_folders=True)
        try:
            # Held for an instant: all sinks that start at once get the id that the first one writes.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (known := _id_in(os.pread(descriptor, _SIZE, 0))):
                # New, or written by a sink that died amid this.
                known = uuid.uuid4().hex
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{known}\n".encode(), 0)
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
        return _id_in(os.pread(descriptor, _SIZE, 0))
    finally:
        os.close(descriptor)


def _id_in(content: bytes) -> str:
    """The id, "" where there is none, or a part of one."""
    return content.decode().strip() if _ID.fullmatch(content) else ""
