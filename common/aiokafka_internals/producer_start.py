"""A question to the broker between the two steps of a producer's start.

The producer connects, then InitProducerId settles its predecessor's transaction. What has to be asked before the second
step needs the first. aiokafka 0.14 offers no place there, and a separate client would cost a connection for each
partition at each start. No upstream issue known.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka import AIOKafkaProducer

T = TypeVar("T")


async def start_after(producer: AIOKafkaProducer, ask: Callable[[], Awaitable[T]]) -> T:
    """Start the producer; return what `ask()` returns, called when it is connected and has settled nothing yet."""
    sender = producer._sender  # noqa: SLF001 - the second of the two steps
    start = sender.start
    answers: list[T] = []

    async def ask_and_start() -> None:
        answers.append(await ask())
        await start()

    sender.start = ask_and_start
    await producer.start()
    return answers[-1]
