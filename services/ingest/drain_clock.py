"""What is done once a signal has come gets a share of DRAIN_DEADLINE_S, by a clock that the signal starts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from msgspec import Struct

from common.waiting import first_ended

T = TypeVar("T")


class DrainClock(Struct, frozen=True):
    """The signal's event, when it came, by the loop's clock, and how many seconds there are from then on."""

    stop: asyncio.Event
    signalled_at: "asyncio.Task[float]"
    deadline_s: float

    async def cut(self, share: float, doing: Awaitable[T]) -> T:
        """Return the result of `doing`; TimeoutError if this share of the time is over first. It is then cancelled."""
        task = asyncio.ensure_future(doing)
        if task in await first_ended(task, self._wait(share)):
            return task.result()
        raise TimeoutError(f"not done within {share * self.deadline_s:g} s of a signal")

    async def _wait(self, share: float) -> None:
        # It is waited for again later.
        began = await asyncio.shield(self.signalled_at)
        await asyncio.sleep(began + share * self.deadline_s - asyncio.get_running_loop().time())


@asynccontextmanager
async def drain_clock(stop: asyncio.Event, deadline_s: float) -> AsyncIterator[DrainClock]:
    """A clock that starts once `stop` is set."""
    signalled_at = asyncio.create_task(_time_of(stop))
    try:
        yield DrainClock(stop, signalled_at, deadline_s)
    finally:
        signalled_at.cancel()


async def _time_of(event: asyncio.Event) -> float:
    await event.wait()
    return asyncio.get_running_loop().time()
