"""Reading from a disk that may hang, as one that is mounted from elsewhere does."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from common.connection.http import in_daemon_thread
from common.waiting import ignore_failure

T = TypeVar("T")

# Both disks together take less time than a look may.
_DEADLINE_S = 4.0


class DiskReads(Generic[T]):
    """Reads one after the other; while one hangs, no other is begun. `trouble` says why the last gave nothing."""

    def __init__(self, name: str, deadline_s: float = _DEADLINE_S) -> None:
        self._name = name
        self._deadline_s = deadline_s
        self._reading: asyncio.Future[T] | None = None
        self.trouble = ""

    async def read(self, work: Callable[[], T], otherwise: T) -> T:
        """Return `work()`, or `otherwise` if that does not come in time."""
        if self._reading is not None and not self._reading.done():
            return otherwise
        self.trouble = ""
        reading = asyncio.ensure_future(in_daemon_thread(self._name, work))
        reading.add_done_callback(ignore_failure)
        self._reading = reading
        done, _ = await asyncio.wait([reading], timeout=self._deadline_s)
        if not done:
            self.trouble = f"not read within {self._deadline_s:g} s"
        return reading.result() if done else otherwise
