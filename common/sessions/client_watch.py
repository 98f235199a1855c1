"""Whether a member's client is well: whether a broker answers it, and whether aiokafka's own tasks go on.

aiokafka 0.14 says neither to a member that fetches nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from common.aiokafka_internals.consumer_state import check_tasks, is_connected, refresh_metadata
from common.sessions.readiness import Readiness

_BROKER_INTERVAL_S = 1.0
# Longer than a join that waits for a member that is dead.
LATE_S = 15.0
_ANSWER_DEADLINE_S = 10.0


async def watch_client(consumer: AIOKafkaConsumer, readiness: Readiness) -> None:
    """Raise what a task of aiokafka's has ended with; until this replica is ready, say when no broker answers."""
    while True:
        await asyncio.sleep(_BROKER_INTERVAL_S)
        check_tasks(consumer)
        if not readiness.is_ready and not await _answers(consumer):
            # Before the first partition is taken up, nothing else would say so.
            await readiness.report(KafkaError("no broker answers"))


async def say_when_late(readiness: Readiness, waiting: Awaitable[object], what: str) -> None:
    """Wait; say why it takes long, for as long as it does: aiokafka tries some things for ever, without a word."""
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
    """Wait until a broker answers, or none does: a member with nothing to do would not learn of it otherwise."""
    while await _answers(consumer) != answers and unless() is None:  # noqa: ASYNC110 - it offers no event
        await asyncio.sleep(_BROKER_INTERVAL_S)


async def _answers(consumer: AIOKafkaConsumer) -> bool:
    """Whether a broker answers; true while the consumer is not connected, because its start fails by itself."""
    if not is_connected(consumer):
        return True
    try:
        # It asks one broker after the other, each for as long as a request may last.
        async with asyncio.timeout(_ANSWER_DEADLINE_S):
            return await refresh_metadata(consumer)
    except TimeoutError:
        return False
