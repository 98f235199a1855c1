"""What a consumer does not offer: whether its client is well, which topics it asks about, a close that is certain.

When its broker is gone or one of its own tasks has ended, aiokafka 0.14 does not report that to a member that fetches
nothing: the member would wait for ever. No upstream issue known.
"""

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer

from common.aiokafka_internals.outages import ClientFailedError


def is_connected(consumer: AIOKafkaConsumer) -> bool:
    """Whether its start has reached a broker."""
    return consumer._client._sync_task is not None  # noqa: SLF001 - nothing else shows it


async def refresh_metadata(consumer: AIOKafkaConsumer) -> bool:
    """Ask one broker after another for metadata, the smallest request; return whether one has answered."""
    return bool(await consumer._client.force_metadata_update())  # noqa: SLF001 - a consumer has no such call


async def know_topics(consumer: AIOKafkaConsumer, topics: Collection[str]) -> None:
    """Ask for the metadata of all these topics at once, beside those that the consumer already asks about.

    A question about a topic that it does not know yet fails first, and is repeated after 0.1 s: once for each topic.
    """
    add_topic = consumer._client.add_topic  # noqa: SLF001 - it subscribes to none of them
    await asyncio.gather(*map(add_topic, topics))


async def close_connections(consumer: AIOKafkaConsumer) -> None:
    """Close the connections. stop() does that last: if it was cut short, they are still open."""
    await consumer._client.close()  # noqa: SLF001 - nothing else closes them


def check_fetcher(consumer: AIOKafkaConsumer) -> None:
    """Raise ClientFailedError once the fetcher has ended: no record would come any more, and no error either."""
    if consumer._fetcher.error_future.done():  # noqa: SLF001 - nothing else shows it
        raise ClientFailedError("aiokafka's fetcher has ended")


def check_tasks(consumer: AIOKafkaConsumer) -> None:
    """Raise the error that one of aiokafka's own tasks has ended with, or ClientFailedError where it has none."""
    client, coordinator, fetcher = consumer._client, consumer._coordinator, consumer._fetcher  # noqa: SLF001 - same
    if coordinator is not None:
        coordinator.check_errors()
    if fetcher is not None and fetcher.error_future.done() and not fetcher.error_future.cancelled():
        fetcher.error_future.result()
    tasks = client._sync_task, getattr(coordinator, "_coordination_task", None)  # noqa: SLF001 - same
    if any(task is not None and task.done() for task in tasks):
        raise ClientFailedError("a task of aiokafka's has ended")
