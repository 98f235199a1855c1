"""When a service counts as alive, and when as ready."""

import asyncio
import time
from contextlib import suppress

from common.counts import Counts
from common.health.standing import HUNG_S, Standing


def standing(counts: Counts, *, is_stopping: bool = False) -> Standing:
    return Standing("split", counts, lambda: is_stopping, 100.0)


def test_one_that_has_just_started_lives_and_is_not_ready() -> None:
    found = standing(Counts())
    assert (found.why_not_live(100), found.why_not_ready(100)) == ("", "starting")


def test_one_at_work_is_ready_until_it_fails_or_is_asked_to_stop() -> None:
    assert standing(Counts(not_ready="")).why_not_ready(100) == ""
    assert standing(Counts(not_ready="no broker answers")).why_not_ready(100) == "no broker answers"
    assert standing(Counts(not_ready=""), is_stopping=True).why_not_ready(100) == "draining"


def test_a_loop_that_hangs_is_neither_alive_nor_ready() -> None:
    found = standing(Counts(not_ready=""))
    assert found.why_not_live(100 + HUNG_S) == ""
    assert found.why_not_live(100 + HUNG_S + 1) == "the event loop has not turned for 11 s"
    assert found.why_not_ready(100 + HUNG_S + 1) == "the event loop has not turned for 11 s"


async def test_a_loop_that_turns_is_noted() -> None:
    found = standing(Counts())
    began = time.monotonic()
    noting = asyncio.create_task(found.note_turns())
    await asyncio.sleep(0)
    assert found.turned_at >= began
    noting.cancel()
    with suppress(asyncio.CancelledError):
        await noting


def test_partitions_are_named_in_their_order() -> None:
    counts = Counts()
    counts.assign([("rows", 10), ("rows", 9), ("rejected", 0)])
    assert standing(counts).partitions == ["rejected-0", "rows-9", "rows-10"]
