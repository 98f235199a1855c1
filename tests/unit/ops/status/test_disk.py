"""A disk that hangs holds nothing up."""

import asyncio
import threading

import pytest

from ops.status.disk import DiskReads


def test_a_read_that_hangs_is_given_up_and_no_other_begun_until_it_ends() -> None:
    is_mended, begun = threading.Event(), threading.Event()

    def hang() -> str:
        is_mended.wait()
        return "late"

    def begin() -> str:
        begun.set()
        return "too soon"

    async def read() -> None:
        reads = DiskReads[str]("disk", 0.01)
        assert await reads.read(hang, "otherwise") == "otherwise"
        assert await reads.read(begin, "otherwise") == "otherwise"
        assert reads.trouble == "not read within 0.01 s"
        assert not begun.is_set()
        is_mended.set()
        while await reads.read(lambda: "well", "otherwise") != "well":  # noqa: ASYNC110 - nothing tells when it ends
            await asyncio.sleep(0)
        assert reads.trouble == ""

    asyncio.run(read())


def test_the_loop_ends_while_a_read_hangs() -> None:
    is_mended = threading.Event()
    try:
        assert asyncio.run(DiskReads[int]("disk", 0.01).read(lambda: int(is_mended.wait()), 7)) == 7
        assert [each.daemon for each in threading.enumerate() if each.name == "disk"] == [True]
    finally:
        is_mended.set()


def test_an_error_is_the_caller_s() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(DiskReads[int]("disk").read(lambda: 1 // 0, 7))
