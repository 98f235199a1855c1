"""Whether a member's client is well: whether a broker answers it, and whether aiokafka's own tasks still run."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from common.aiokafka_internals.consumer_state import check_tasks, is_connected, refresh_metadata
from common.sessions.readiness import Readiness

_BROKER_INTERVAL_S = 1.0
# Longer than a join that waits for a dead member.
LATE_S = 15.0
_ANSWER_DEADLINE_S = 10.0


async def watch_client(consumer: AIOKafkaConsumer, readiness: Readiness) -> None:
    """Raise the error of a task of aiokafka that has ended; report that no broker answers while it is not ready."""
    while True:
        await asyncio.sleep(_BROKER_INTERVAL_S)
        check_tasks(consumer)
        if not readiness.is_ready and not await _answers(consumer):
            # Until the first partition is taken up, nothing else would report it.
            await readiness.report(KafkaError("no broker answers"))


async def say_when_late(readiness: Readiness, waiting: Awaitable[object], what: str) -> None:
    """Wait, and every 15 s report that `what` has not come: aiokafka retries some things for ever, silently."""
    task = asyncio.ensure_future(waiting)
    try:
        while not (await asyncio.wait([task], timeout=LATE_S))[0]:
            await readiness.report(TimeoutError(f"{what} within {LATE_S:g} s"))
        task.result()
    finally:
        task.cancel()


async def wait_for_broker(
    consumer: AIOKafkaConsumer, *, answers: bool, unless: Callable[[], object] = lambda: None
) -> None:
    """Wait until a broker answers, or until none does, or until `unless()` is not None.

    A member with nothing to do would not notice otherwise.
    """
    while await _answers(consumer) != answers and unless() is None:  # noqa: ASYNC110 - it offers no event
        await asyncio.sleep(_BROKER_INTERVAL_S)


async def _answers(consumer: AIOKafkaConsumer) -> bool:
    """Whether a broker answers. True while the consumer is not connected, because its start fails by itself."""
    if not is_connected(consumer):
        return True
    try:
        # aiokafka asks one broker after another, each with the full timeout of a request.
        async with asyncio.timeout(_ANSWER_DEADLINE_S):
            return await refresh_metadata(consumer)
    except TimeoutError:
        return False
