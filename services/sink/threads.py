"""Calls that block, in a thread of their own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def in_thread(thread: ThreadPoolExecutor, function: Callable[[*Ts], T], *arguments: *Ts) -> "asyncio.Future[T]":
    """Begin the call in the thread. Cancelling the future does not end a call that has begun."""
    return asyncio.get_running_loop().run_in_executor(thread, function, *arguments)
