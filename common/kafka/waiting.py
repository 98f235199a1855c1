"""Waiting that a stop or a deadline ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


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


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """A deadline; the TimeoutError at its end says what has not come: `what` "within" so many seconds."""
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError as error:
        # Not the body's own: that one knows better what it is about.
        if not timeout.expired():
            raise
        raise TimeoutError(f"{what} within {seconds:g} s") from error
