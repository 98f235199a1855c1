"""Calls that block, in a thread of their own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar, TypeVarTuple

from structlog.contextvars import bind_contextvars, get_contextvars

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def new_thread(name: str) -> ThreadPoolExecutor:
    """One thread, whose log lines name the partition that the caller's do."""
    binding = partial(bind_contextvars, **get_contextvars())
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name, initializer=binding)


def in_thread(thread: ThreadPoolExecutor, function: Callable[[*Ts], T], *arguments: *Ts) -> "asyncio.Future[T]":
    """Begin the call in the thread. Cancelling the future does not end a call that has begun."""
    return asyncio.get_running_loop().run_in_executor(thread, function, *arguments)


async def made_in_thread(make: Callable[[], T], discard: Callable[[T], object]) -> T:
    """Return what `make` makes in a thread. A cancellation waits for it, blocking, and discards what was made."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="made") as thread:
        making = thread.submit(copy_context().run, make)
        try:
            return await asyncio.wrap_future(making)
        except asyncio.CancelledError:
            # Else it would still be at work once the caller has given up the partition's lock.
            if not (making.cancelled() or making.exception()):
                discard(making.result())
            raise
