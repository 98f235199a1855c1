"""The lock that gives each partition one writer, whatever dies."""

import asyncio
import fcntl
import os
from pathlib import Path

import structlog

from services.sink.disk.output_root import OutputRoot

log = structlog.get_logger()

_LOCK_INTERVAL_S = 0.05
_NOTE = b"ledger\n"


class Lock:
    """A partition's lock below OUTPUT_DIR: its holder is the one writer of the partition's files.

    The kernel releases it when its holder dies, however it dies. The lock's file is not empty once the partition has a
    ledger: a ledger that is missing after that was removed.
    """

    def __init__(self, root: Path, path: str) -> None:
        self._root = root
        self._path = path
        self._descriptor = -1

    async def take(self, stop: asyncio.Event) -> bool:
        """Wait for the lock; False if `stop` is set first."""
        with OutputRoot(self._root) as output:
            self._descriptor = output.open(self._path, os.O_RDWR | os.O_CREAT, make_folders=True)
        is_logged = False
        while not stop.is_set():
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not is_logged:
                    log.info("waiting for the lock of another sink", lock=str(self._root / self._path))
                is_logged = True
                await asyncio.sleep(_LOCK_INTERVAL_S)
            else:
                return True
        return False

    @property
    def knows_ledger(self) -> bool:
        """Whether the partition has had a ledger with a next offset."""
        return os.fstat(self._descriptor).st_size > 0

    def note_ledger(self) -> None:
        """Record durably that there is a ledger."""
        if not self.knows_ledger:
            os.pwrite(self._descriptor, _NOTE, 0)
            os.fsync(self._descriptor)

    def release(self) -> None:
        """Release the lock, if it was taken."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
