"""Sessions with a broker: begun again, with bounded back-off, for as long as the service lives."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.errors import KafkaError

from common.outages import client_failures_as_outages
from common.readiness import Readiness

T = TypeVar("T")

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
# A session that lasted this long was a good one: the next failure begins with a short pause again.
_GOOD_SESSION_S = 10.0


async def run_sessions(session: Callable[[Readiness, asyncio.Event], Awaitable[None]], stop: asyncio.Event) -> None:
    """Run `session(readiness, stop)` until it returns; begin again when Kafka, the network or the disk fails it.

    Any other exception is a defect, or something a person has to mend, and is raised.
    """
    readiness = Readiness()
    pause_s = _FIRST_PAUSE_S
    while not stop.is_set():
        began = time.monotonic()
        try:
            with client_failures_as_outages():
                await session(readiness, stop)
        except (KafkaError, OSError, TimeoutError) as error:
            if time.monotonic() - began > _GOOD_SESSION_S:
                pause_s = _FIRST_PAUSE_S
            readiness.set_not_ready(error)
        except Stopped:
            return
        else:
            return
        await pause(stop, pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class Stopped(Exception):  # noqa: N818 - a state, not an error
    """The service was asked to stop before a session had begun anything."""


async def unless_stopped(stop: asyncio.Event, preparing: Awaitable[T]) -> T:
    """What `preparing` gives; Stopped, at once, when `stop` is set before. Only for what may be broken off anywhere."""
    task = asyncio.ensure_future(preparing)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
