"""What is made in a thread."""

import asyncio
import threading

import pytest
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from services.sink.threads import made_in_thread


def keep(_: object) -> None:
    pytest.fail("it was discarded")


async def test_what_is_made_comes_from_another_thread_which_knows_what_log_lines_name() -> None:
    bind_contextvars(partitions=["one"])
    try:
        made = await made_in_thread(lambda: (threading.current_thread(), get_contextvars()), keep)
    finally:
        clear_contextvars()
    assert made[0] is not threading.current_thread()
    assert made[1] == {"partitions": ["one"]}


async def test_an_error_is_raised_and_there_is_nothing_to_discard() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await made_in_thread(lambda: int("none"), keep)


async def test_a_cancellation_returns_only_once_what_is_under_way_is_made_and_discarded() -> None:
    began, may_end, discarded = asyncio.Event(), threading.Event(), list[str]()
    loop = asyncio.get_running_loop()

    def make() -> str:
        loop.call_soon_threadsafe(began.set)
        assert may_end.wait(10)
        return "made"

    making = asyncio.create_task(made_in_thread(make, discarded.append))
    await began.wait()
    making.cancel()
    # The loop is blocked meanwhile, so only a thread can let it end.
    ending = threading.Timer(0.05, may_end.set)
    ending.start()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert may_end.is_set()
    assert discarded == ["made"]
