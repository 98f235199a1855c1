"""Calls to HTTP servers that are not Kafka: they block, so each has a thread that holds nothing up."""

import asyncio
import ssl
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take a secret to another server, or turn a POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none, so that the answer is an HTTPError."""


def opener(context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    """What opens URLs and follows no redirect; None: servers are verified by the system's authorities."""
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))


async def in_daemon_thread(name: str, work: Callable[[], T]) -> T:
    """Return `work()`. Not in one of the loop's own threads: a process that ends waits for those, even if they hang."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def resolve(set_outcome: Callable[[Any], None], value: object) -> None:
        if not done.done():
            set_outcome(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = (done.set_result, work())
        except Exception as error:  # noqa: BLE001 - the waiting coroutine raises it
            outcome = (done.set_exception, error)
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resolve, *outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
