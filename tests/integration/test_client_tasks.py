"""A task of aiokafka's that ends ends the session: without it a service would wait for ever and say nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is in their manual

from common.aiokafka_internals.fetched_batches import read_on
from common.aiokafka_internals.outages import ClientFailedError, client_failures_as_outages
from common.kafka.clients import new_consumer, open_reader
from common.sessions.partition_tasks import run_partition_tasks
from common.sessions.readiness import Readiness
from common.settings import ServiceSettings
from common.settings_reader import make_settings

pytestmark = pytest.mark.long


@pytest.fixture
def topic(bootstrap: str) -> str:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    name = f"test-{uuid.uuid4().hex[:12]}"
    admin.create_topics([NewTopic(name, 1)])[name].result()
    return name


@asynccontextmanager
async def at_work(bootstrap: str, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, "asyncio.Task[None]"]]:
    """A member of a group that has its partition and does not fetch, as ingest does, and what it ends with."""
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})
    consumer = new_consumer(settings, "test", f"{topic}-group")
    stop = asyncio.Event()
    begun: set[TopicPartition] = set()
    readiness = Readiness(settings)

    async def hold(partition: TopicPartition, stop: asyncio.Event) -> None:
        begun.add(partition)
        await stop.wait()

    async def run() -> None:
        with client_failures_as_outages():
            await run_partition_tasks(consumer, [topic], hold, begun, readiness, stop, [])

    running = asyncio.create_task(run())
    try:
        async with asyncio.timeout(60):
            while not readiness.is_ready:  # noqa: ASYNC110 - it offers no event
                await asyncio.sleep(0.02)
        yield consumer, running
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_member_that_has_read_nothing_for_years_stays_in_its_group(
    bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(bootstrap, topic) as (consumer, running):
        monkeypatch.setattr(SubscriptionState, "fetcher_idle_time", 10 * 365 * 24 * 3600.0)
        beats = asyncio.Event()
        coordinator = consumer._coordinator  # noqa: SLF001 - there is no other way to it
        beat, left = coordinator._do_heartbeat, 3  # noqa: SLF001 - as above

        async def do_heartbeat() -> bool:
            nonlocal left
            succeeded: bool = await beat()
            left -= succeeded
            if not left:
                beats.set()
            return succeeded

        monkeypatch.setattr(coordinator, "_do_heartbeat", do_heartbeat)
        async with asyncio.timeout(60):
            await beats.wait()
        assert consumer.assignment()
        assert not running.done()


def tasks_of(consumer: Any) -> "list[asyncio.Task[Any]]":
    return [consumer._coordinator._coordination_task, consumer._client._sync_task]  # noqa: SLF001 - nothing else tells


@pytest.mark.parametrize("number", [0, 1])
async def test_a_member_that_does_not_fetch_learns_of_a_task_that_ended(
    bootstrap: str, topic: str, number: int
) -> None:
    async with at_work(bootstrap, topic) as (consumer, running):
        tasks_of(consumer)[number].cancel()
        async with asyncio.timeout(30):
            with pytest.raises(ClientFailedError):
                await running


async def test_an_error_that_aiokafka_keeps_for_the_next_fetch_reaches_a_member_that_does_not_fetch(
    bootstrap: str, topic: str
) -> None:
    async with at_work(bootstrap, topic) as (consumer, running):
        # As where a heartbeat is refused: from then on it would send none, until somebody asks.
        consumer._coordinator._pending_exception = ClientFailedError("refused")  # noqa: SLF001 - nothing else sets it
        async with asyncio.timeout(30):
            with pytest.raises(ClientFailedError, match="refused"):
                await running


async def test_a_consumer_whose_fetcher_has_ended_is_not_waited_for(bootstrap: str, topic: str) -> None:
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})
    partition = TopicPartition(topic, 0)
    async with open_reader(settings, "test") as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        assert not await read_on(consumer, partition, 100)
        consumer._fetcher.error_future.cancel()  # noqa: SLF001 - nothing else ends it
        await asyncio.wait([consumer._fetcher.error_future])  # noqa: SLF001 - same
        with pytest.raises(ClientFailedError):
            await read_on(consumer, partition, 100)
