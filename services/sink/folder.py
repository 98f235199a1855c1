"""Which folder OUTPUT_DIR is: paths differ from one container to the next, and the same path may be another folder."""

import fcntl
import os
import re
import uuid
from pathlib import Path

from services.sink.disk_errors import naming
from services.sink.tree import Tree, make_root

HIDDEN = ".nacre"
_PATH = f"{HIDDEN}/folder.lock"
_ID = re.compile(rb"[0-9a-f]{32}\n")


def folder_id(root: Path) -> str:
    """The folder's id, given to it by whichever sink is the first in it. Raises DiskError."""
    make_root(root)
    with Tree(root) as tree, naming(root / _PATH):
        descriptor = tree.open(_PATH, os.O_RDWR | os.O_CREAT, make_folders=True)
        try:
            # Held for an instant: all sinks that start at once get the id that the first one writes.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            found = os.pread(descriptor, 64, 0)
            if not _ID.fullmatch(found):
                # New, or written by a sink that died amid this.
                found = f"{uuid.uuid4().hex}\n".encode()
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, found, 0)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return found.decode().strip()
