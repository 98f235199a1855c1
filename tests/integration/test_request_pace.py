"""A client whose request was answered in vain waits before it repeats it."""

import asyncio
import uuid
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.conn import AIOKafkaConnection
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is in their manual

from common.aiokafka_internals.fetched_batches import read_on
from common.kafka.clients import open_reader
from common.settings import ServiceSettings
from common.settings_reader import make_settings

WATCHED_S = 1.5
MOST_REQUESTS = 25


async def requests_of(consumer: AIOKafkaConsumer, partition: TopicPartition) -> Counter[str]:
    """What the consumer sends while it waits for this partition's records, by kind."""
    sent: Counter[str] = Counter()
    send = AIOKafkaConnection.send

    def counting(connection: Any, request: Any, *arguments: Any) -> Any:
        sent[type(request).__name__] += 1
        return send(connection, request, *arguments)

    consumer.assign([partition])
    consumer.seek(partition, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AIOKafkaConnection, "send", counting)
        end = asyncio.get_running_loop().time() + WATCHED_S
        while asyncio.get_running_loop().time() < end:
            assert not await read_on(consumer, partition, 100)
    return sent


async def test_metadata_of_a_partition_without_a_leader_are_not_asked_for_without_a_pause(bootstrap: str) -> None:
    topic = make_topic(AdminClient({"bootstrap.servers": bootstrap}))
    async with open_reader(settings_of(bootstrap), "test") as consumer:
        # No such partition: as of a topic whose broker is going, nobody leads it.
        sent = await requests_of(consumer, TopicPartition(topic, 7))
    assert 0 < sent["MetadataRequest"] < MOST_REQUESTS


def settings_of(bootstrap: str) -> ServiceSettings:
    return make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})


def make_topic(admin: AdminClient) -> str:
    topic = f"test-{uuid.uuid4().hex[:12]}"
    admin.create_topics([NewTopic(topic, 1)])[topic].result()
    return topic
