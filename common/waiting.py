"""Waiting that a stop, a deadline or another event ends."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - a state, not an error
    """The service was asked to stop before a session had begun anything."""


async def first_ended(*waiting: Awaitable[Any]) -> "list[asyncio.Future[Any]]":
    """Wait until one of these has ended; return all that have, in their order.

    The others are cancelled, and have ended as well when this returns.
    """
    futures = [asyncio.ensure_future(each) for each in waiting]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        return [future for future in futures if future in done]
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)


async def unless_stopped(stop: asyncio.Event, preparing: Awaitable[T]) -> T:
    """Return the result of `preparing`, or raise Stopped once `stop` is set. It must be safe to cancel anywhere."""
    task = asyncio.ensure_future(preparing)
    if task in await first_ended(task, stop.wait()):
        return task.result()
    raise Stopped


async def until_stopped(
    stop: asyncio.Event,
    getting: Awaitable[T],
    *,
    timeout_s: float | None = None,
    sooner: "asyncio.Future[Any] | None" = None,
) -> T | None:
    """Return the result of `getting`; None if `stop` is set, `sooner` is done or `timeout_s` is over first.

    `getting` is then cancelled, and must lose nothing by that. `sooner` is never cancelled.
    """
    task, stopping = asyncio.ensure_future(getting), asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[Any]] = {task, stopping} if sooner is None else {task, stopping, sooner}
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stopping.cancel()


async def wait_for_all(*waiting: Awaitable[Any]) -> None:
    """Wait until all of these have ended; once one fails, cancel the others, wait for them, and raise its error."""
    futures = [asyncio.ensure_future(each) for each in waiting]
    try:
        await asyncio.gather(*futures)
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)


def ignore_failure(task: "asyncio.Task[Any]") -> None:
    """As a task's done callback, keep asyncio from logging an exception that nobody waits for."""
    if not task.cancelled():
        task.exception()


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so many seconds, or until `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """A deadline for a block. Its TimeoutError reads `what`, "within", and the seconds."""
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError as error:
        # A TimeoutError of the block itself says more.
        if not timeout.expired():
            raise
        raise TimeoutError(f"{what} within {seconds:g} s") from error


class Shared(Generic[T]):
    """A question that several callers ask at about the same time; each needs an answer that is newer than its call.

    While one question is under way, all new callers share the next. Its error is raised to all of them. It is cancelled
    when nobody waits for its answer any more.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None
        # How many wait for each.
        self._waiting: Counter[asyncio.Task[T]] = Counter()

    async def answer(self) -> T:
        """The answer to a question that is put after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._put())
            self._next.add_done_callback(ignore_failure)
        question = self._next
        self._waiting[question] += 1
        try:
            # A caller that is cancelled must not cancel the answer of the others.
            return await asyncio.shield(question)
        finally:
            self._waiting[question] -= 1
            if not self._waiting[question]:
                del self._waiting[question]
                question.cancel()
                if self._next is question:
                    # The next caller must not share the cancellation of a question that was never put.
                    self._next = None

    async def _put(self) -> T:
        async with self._turn:
            # A caller that comes from here on needs a later question: this answer might be too old for it.
            self._next = None
            return await self._ask()
