"""Waiting that a stop, a deadline or another event ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.waiting import Shared, Stopped, first_ended, pause, unless_stopped, until_stopped, within


class Work:
    """An awaitable that lasts until it is cancelled, and then takes a moment to end."""

    def __init__(self) -> None:
        self.ended = False

    async def run(self) -> str:
        """Wait for ever."""
        try:
            await asyncio.Event().wait()
            return "never"
        finally:
            await asyncio.sleep(0)
            self.ended = True


async def soon(value: str) -> str:
    await asyncio.sleep(0)
    return value


async def fail() -> str:
    raise KeyError("failed")


@asynccontextmanager
async def promptly() -> AsyncIterator[None]:
    async with asyncio.timeout(5):
        yield


async def test_the_first_to_end_is_returned_and_the_others_have_ended_too() -> None:
    work = Work()
    async with promptly():
        [first] = await first_ended(work.run(), soon("done"))
    assert first.result() == "done"
    assert work.ended


async def test_of_several_that_have_ended_the_order_is_theirs() -> None:
    done = asyncio.get_running_loop().create_future()
    done.set_result("second")
    failed = asyncio.get_running_loop().create_future()
    failed.set_exception(KeyError("first"))
    first, second = await first_ended(failed, done)
    with pytest.raises(KeyError, match="first"):
        first.result()
    assert second.result() == "second"


async def test_who_waits_for_the_first_and_is_cancelled_leaves_nothing_running() -> None:
    work = Work()
    waiting = asyncio.create_task(first_ended(work.run(), asyncio.Event().wait()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.ended


async def test_what_is_prepared_is_given_unless_stopped_before() -> None:
    stop = asyncio.Event()
    assert await unless_stopped(stop, soon("ready")) == "ready"
    with pytest.raises(KeyError):
        await unless_stopped(stop, fail())
    work = Work()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    async with promptly():
        with pytest.raises(Stopped):
            await unless_stopped(stop, work.run())
    assert work.ended


async def test_what_is_ready_at_once_is_given_also_where_a_stop_is_set() -> None:
    stop = asyncio.Event()
    stop.set()
    ready = asyncio.get_running_loop().create_future()
    ready.set_result("ready")
    assert await unless_stopped(stop, ready) == "ready"


async def test_what_is_got_is_given_or_none_once_it_is_stopped_or_late() -> None:
    stop = asyncio.Event()
    assert await until_stopped(stop, soon("got")) == "got"
    with pytest.raises(KeyError):
        await until_stopped(stop, fail())
    async with promptly():
        assert await until_stopped(stop, Work().run(), timeout_s=0.01) is None
        stop.set()
        assert await until_stopped(stop, Work().run()) is None


async def test_what_comes_sooner_ends_the_wait_and_goes_on_itself() -> None:
    sooner = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, sooner.set_result, None)
    async with promptly():
        assert await until_stopped(asyncio.Event(), Work().run(), sooner=sooner) is None
    later: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert await until_stopped(asyncio.Event(), soon("got"), sooner=later) == "got"
    assert not later.cancelled()


async def test_a_pause_ends_with_a_stop() -> None:
    stop = asyncio.Event()
    await pause(stop, 0.01)
    stop.set()
    async with promptly():
        await pause(stop, 3600)


async def test_a_deadline_says_what_has_not_come() -> None:
    with pytest.raises(TimeoutError, match=r"^the answer has not come within 0\.01 s$"):
        async with within(0.01, "the answer has not come"):
            await asyncio.Event().wait()


async def test_a_timeout_within_a_deadline_keeps_its_own_words() -> None:
    with pytest.raises(TimeoutError, match=r"^its own$"):
        async with within(60, "the answer has not come"):
            raise TimeoutError("its own")


async def test_who_asks_while_a_question_is_under_way_shares_the_next_one_with_all_others_who_do() -> None:
    put, is_put, answered = list[int](), asyncio.Event(), asyncio.Event()

    async def ask() -> int:
        put.append(len(put))
        is_put.set()
        number = put[-1]
        await answered.wait()
        return number

    shared = Shared(ask)
    async with promptly():
        first = asyncio.create_task(shared.answer())
        await is_put.wait()
        # It was put before these calls, so its answer may be too old for them.
        late = [asyncio.create_task(shared.answer()) for _ in range(3)]
        await asyncio.sleep(0)
        late[0].cancel()
        answered.set()
        assert await first == 0
        cancelled, *others = await asyncio.gather(*late, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert others == [1, 1]
        assert await shared.answer() == 2
    assert put == [0, 1, 2]


async def test_all_who_share_a_question_get_its_error_and_the_next_question_is_put_all_the_same() -> None:
    asked = list[str]()

    async def ask() -> str:
        asked.append("")
        return await (fail() if len(asked) == 1 else soon("well"))

    shared = Shared(ask)
    async with promptly():
        errors = await asyncio.gather(shared.answer(), shared.answer(), return_exceptions=True)
        assert [type(error) for error in errors] == [KeyError, KeyError]
        assert await shared.answer() == "well"


async def test_a_question_that_nobody_waits_for_any_more_ends_and_the_next_is_put() -> None:
    put, ended = list[int](), list[int]()

    async def ask() -> int:
        put.append(len(put))
        number = put[-1]
        try:
            await (asyncio.Event().wait() if number == 0 else asyncio.sleep(0))
        finally:
            ended.append(number)
        return number

    shared = Shared(ask)
    async with promptly():
        # The first is under way, and the second, which is not put yet, is for the other two.
        first = asyncio.create_task(shared.answer())
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(shared.answer()) for _ in range(2)]
        await asyncio.sleep(0.01)
        for each in others:
            each.cancel()
        await asyncio.wait(others)
        last = asyncio.create_task(shared.answer())
        await asyncio.sleep(0.01)
        assert ended == []
        first.cancel()
        assert await last == 1
    assert ended == [0, 1]
