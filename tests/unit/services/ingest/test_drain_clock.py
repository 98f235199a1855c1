"""Shares of the time that there is behind a signal."""

import asyncio

import pytest

from services.ingest.drain_clock import drain_clock


async def test_nothing_is_cut_before_a_signal() -> None:
    async with drain_clock(asyncio.Event(), 0.0) as clock:
        assert await clock.cut(0.5, asyncio.sleep(0.01, "done")) == "done"


async def test_the_signal_starts_the_clock_also_for_what_begins_later() -> None:
    stop, never = asyncio.Event(), asyncio.Event()
    stop.set()
    began = asyncio.get_running_loop().time()
    async with drain_clock(stop, 0.4) as clock:
        for share in (0.25, 0.5):
            with pytest.raises(TimeoutError, match=rf"^not done within {share * 0.4:g} s of a signal$"):
                await clock.cut(share, never.wait())
            assert asyncio.get_running_loop().time() - began >= share * 0.4 - 0.01
        # Its share is over, though it has just begun.
        with pytest.raises(TimeoutError):
            await clock.cut(0.25, never.wait())


async def test_an_error_is_that_of_what_is_done() -> None:
    async def fail() -> None:
        raise KeyError

    async with drain_clock(asyncio.Event(), 1.0) as clock:
        with pytest.raises(KeyError):
            await clock.cut(0.5, fail())
