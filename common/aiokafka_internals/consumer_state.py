"""What a consumer does not tell or do by itself: its client's health, the topics it asks about, a close that is sure.

aiokafka 0.14 says nothing to a member that fetches nothing when its broker is gone or one of its own tasks has ended:
the member would wait for ever. No upstream issue known.
"""

from collections.abc import Collection

from aiokafka import AIOKafkaConsumer

from common.aiokafka_internals.outages import ClientFailedError


def is_connected(consumer: AIOKafkaConsumer) -> bool:
    """Whether its start has reached a broker."""
    return consumer._client._sync_task is not None  # noqa: SLF001 - nothing else tells


async def refresh_metadata(consumer: AIOKafkaConsumer) -> bool:
    """Ask for metadata, the least that can be asked for; whether a broker has answered. It asks each for some time."""
    return bool(await consumer._client.force_metadata_update())  # noqa: SLF001 - a consumer has no such call


async def know_topics(consumer: AIOKafkaConsumer, topics: Collection[str]) -> None:
    """Ask for the metadata of these topics at once; what it does not know yet it would ask for one after the other."""
    await consumer._client.set_topics(list(topics))  # noqa: SLF001 - it subscribes to none


async def close_connections(consumer: AIOKafkaConsumer) -> None:
    """Close the connections, which stop() does last: where it was cut short they would stay open."""
    await consumer._client.close()  # noqa: SLF001 - nothing else closes them


def check_fetcher(consumer: AIOKafkaConsumer) -> None:
    """Raise ClientFailedError once the fetcher has ended: nothing would come any more, and nothing would be said."""
    if consumer._fetcher.error_future.done():  # noqa: SLF001 - nothing else tells
        raise ClientFailedError("aiokafka's fetcher has ended")


def check_tasks(consumer: AIOKafkaConsumer) -> None:
    """Raise what one of aiokafka's own tasks has ended with."""
    client, coordinator, fetcher = consumer._client, consumer._coordinator, consumer._fetcher  # noqa: SLF001 - same
    if coordinator is not None:
        coordinator.check_errors()
    if fetcher is not None and fetcher.error_future.done() and not fetcher.error_future.cancelled():
        fetcher.error_future.result()
    tasks = client._sync_task, getattr(coordinator, "_coordination_task", None)  # noqa: SLF001 - same
    if any(task is not None and task.done() for task in tasks):
        raise ClientFailedError("a task of aiokafka's has ended")
