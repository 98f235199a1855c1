"""Shares of several partitions on their way into one topic."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is in their manual

from common.settings import ServiceSettings
from common.settings_reader import make_settings
from services.sink.receipts.sharing import KeyedRecord, Sender

# Several requests of few, and many of many.
VALUE = b"x" * 1000
FEW, MANY = 1_000, 10_000
MOST_REQUESTS = 15


async def test_who_sends_few_records_does_not_wait_for_who_sends_many(bootstrap: str) -> None:
    ended: list[int] = []
    async with open_sender(bootstrap) as (sender, topic):

        async def send(count: int) -> None:
            await sender.send(topic, records(count))
            ended.append(count)

        await asyncio.gather(send(MANY), send(FEW))
    assert ended == [FEW, MANY]


async def test_many_records_take_few_requests(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Counter[str] = Counter()
    send = AIOKafkaConnection.send

    def counting(connection: Any, request: Any, **options: Any) -> Any:
        sent[type(request).__name__] += 1
        return send(connection, request, **options)

    async with open_sender(bootstrap) as (sender, topic):
        monkeypatch.setattr(AIOKafkaConnection, "send", counting)
        await sender.send(topic, records(FEW))
    assert 0 < sent["ProduceRequest"] < MOST_REQUESTS


@asynccontextmanager
async def open_sender(bootstrap: str) -> AsyncIterator[tuple[Sender, str]]:
    """A sender, and a new topic for it."""
    topic = f"test-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1)])[topic].result()
    async with AsyncExitStack() as opened:
        yield Sender(make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap}), opened), topic


def records(count: int) -> list[KeyedRecord]:
    return [(b"%d" % number, VALUE, []) for number in range(count)]
