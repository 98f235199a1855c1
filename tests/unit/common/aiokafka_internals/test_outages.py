import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError, RequestTimedOutError

import common.kafka.clients  # noqa: F401 - importing it installs the replacements
from common.aiokafka_internals.outages import ClientFailedError, client_failures_as_outages
from common.sessions.partition_tasks import PartitionTasks
from common.sessions.session import run_sessions
from common.settings import ServiceSettings
from common.settings_reader import read_settings


async def fail_in_aiokafka() -> None:
    """An assertion of aiokafka's own."""
    AIOKafkaClient().set_topics("one")


async def be_given_up() -> None:
    """Let aiokafka cancel a task that it awaits itself."""
    task = asyncio.ensure_future(asyncio.Event().wait())
    task.cancel()
    await task


@pytest.mark.parametrize("fail", [fail_in_aiokafka, be_given_up])
async def test_what_aiokafka_raises_of_its_own_is_an_outage(fail: Any) -> None:
    with pytest.raises(ClientFailedError) as caught, client_failures_as_outages():
        await fail()
    assert isinstance(caught.value, KafkaError)


async def test_a_defect_of_ours_is_none_and_nothing_is_hidden() -> None:
    with pytest.raises(AssertionError), client_failures_as_outages():
        raise AssertionError
    # aiokafka raises these when it is called wrongly, which is a defect too.
    with pytest.raises(TypeError), client_failures_as_outages():
        AIOKafkaClient(nonsense=1)


async def test_a_kafka_error_stays_what_it_is() -> None:
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaConnectionError), client_failures_as_outages():
        await client.bootstrap()


async def test_a_cancellation_of_ours_stays_one() -> None:
    async def waiting() -> None:
        with client_failures_as_outages():
            await asyncio.Event().wait()

    task = asyncio.ensure_future(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_session_begins_again_after_a_failure_of_aiokafkas() -> None:
    failures = [fail_in_aiokafka, be_given_up]

    async def session(*_: object) -> None:
        if failures:
            await failures.pop()()

    await run_sessions(read_settings(ServiceSettings, [], program="test"), session, asyncio.Event())
    assert not failures


class Consumer:
    """The part of a consumer that partition tasks need."""

    def pause(self, *_partitions: TopicPartition) -> None:
        """Paused."""


async def test_a_partition_task_that_aiokafka_gave_up_ends_the_session() -> None:
    async def run(_partition: TopicPartition, _stop: asyncio.Event) -> None:
        await be_given_up()

    tasks = PartitionTasks(Consumer(), run, set())
    tasks.on_partitions_assigned([TopicPartition("rows", 0)])
    with pytest.raises(ClientFailedError):
        await tasks.wait(asyncio.Event().wait())


async def test_a_coordinator_is_not_looked_for_while_no_broker_is_known() -> None:
    with pytest.raises(NodeNotReadyError):
        await AIOKafkaClient().coordinator_lookup(CoordinationType.GROUP, "group")


async def test_a_request_that_times_out_on_a_connection_that_is_gone_has_timed_out() -> None:
    client = AIOKafkaClient()

    async def ready(*_: object, **__: object) -> bool:
        return True

    client.ready = ready
    with pytest.raises(RequestTimedOutError):
        await client.send(1, object())
