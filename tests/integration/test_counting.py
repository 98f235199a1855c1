"""Counting what waits between two offsets, beside a real Kafka."""

import uuid

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is in their manual

from common.kafka.clients import open_reader
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from ops.status.counting import RowCounter

FIRST_MS = 1_700_000_000_000
PARTITIONS = 3


async def test_the_age_of_the_first_row_is_known_of_each_partition_however_much_others_have(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the first partition had used up all that a look may read.
    monkeypatch.setattr("ops.status.counting._MOST_BYTES", 1)
    topic = f"test-{uuid.uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS)])[topic].result()
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(PARTITIONS):
        producer.produce(topic, b"M,1", partition=number, timestamp=FIRST_MS + number)
    producer.flush()
    spans = {TopicPartition(topic, number): (0, 1) for number in range(PARTITIONS)}
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})
    async with open_reader(settings, "test") as reader:
        found = await RowCounter("rejected").count(reader, spans)
    assert [found[each].oldest_ms for each in spans] == [FIRST_MS + number for number in range(PARTITIONS)]
