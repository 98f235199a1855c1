"""Where a partition begins or ends is answered while a fetch of the same consumer waits for records."""

import asyncio
import uuid
from typing import Any

from aiokafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is in their manual

from common.kafka.clients import open_reader
from common.settings import ServiceSettings
from common.settings_reader import make_settings

# Longer than a broker and this machine may take for anything else.
_WAIT_MS = 20_000


async def test_a_question_for_offsets_does_not_wait_behind_a_fetch_that_waits_for_records(bootstrap: str) -> None:
    topic = f"test-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2)])[topic].result()
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})
    idle, asked = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with open_reader(settings, "test", max_wait_ms=_WAIT_MS) as consumer:
        consumer.assign([idle, asked])
        consumer.pause(asked)
        consumer.seek(idle, 0)
        reading = asyncio.create_task(consumer.getmany(idle, timeout_ms=_WAIT_MS))
        while not _is_fetching(consumer):  # noqa: ASYNC110 - it offers no event
            await asyncio.sleep(0.01)
        async with asyncio.timeout(_WAIT_MS / 2000):
            assert await consumer.end_offsets([asked]) == {asked: 0}
            assert await consumer.beginning_offsets([asked, idle]) == {asked: 0, idle: 0}
        assert not reading.done()
        reading.cancel()


def _is_fetching(consumer: Any) -> bool:
    return any(connection._requests for connection in consumer._client._conns.values())  # noqa: SLF001 - nothing else shows it
