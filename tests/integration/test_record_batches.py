"""Whole record batches against the same records one by one, as aiokafka gives them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from common.aiokafka_internals.fetched_batches import read_on, runs_of
from common.batches.record_runs import one_by_one
from common.kafka.clients import open_reader
from common.settings import ServiceSettings
from common.settings_reader import make_settings

Row = tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


def row_of(record: Any) -> Row:
    return record.offset, record.key, record.value, tuple(record.headers)


@asynccontextmanager
async def open_producer(bootstrap: str, name: str, compression: str | None) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name, compression_type=compression)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def fill_topic(bootstrap: str, partition: TopicPartition) -> None:
    """Batches of several sizes, by two producers in turn, every third transaction aborted; headers here and there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(partition.topic, 1, 1)])
    await admin.close()
    name = partition.topic
    async with open_producer(bootstrap, f"{name}-a", None) as a, open_producer(bootstrap, f"{name}-b", "gzip") as b:
        for turn in range(12):
            for producer in (a, b):
                await producer.begin_transaction()
                batch = producer.create_batch()
                for number in range(1 + 7 * turn):
                    headers = [("odd", b"1")] if number % 5 == 1 else []
                    batch.append(timestamp=None, key=b"k%d" % (number % 3), value=b"%d" % number, headers=headers)
                await (await producer.send_batch(batch, name, partition=0))
            for producer in (a, b):
                await (producer.abort_transaction() if turn % 3 == 1 else producer.commit_transaction())


async def read_plainly(bootstrap: str, partition: TopicPartition, start: int, end: int) -> list[Row]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([partition])
        consumer.seek(partition, start)
        rows: list[Row] = []
        while await consumer.position(partition) < end:
            fetched = await consumer.getmany(partition, timeout_ms=200)
            rows += map(row_of, fetched.get(partition, []))
        return rows
    finally:
        await consumer.stop()


@pytest.mark.parametrize("most_batches", [None, 1])
def test_batches_hold_the_records_that_are_given_one_by_one(
    bootstrap: str, request: pytest.FixtureRequest, most_batches: int | None
) -> None:
    partition = TopicPartition(f"batches-{request.node.name.rpartition('[')[2][:-1]}", 0)
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})

    async def compare() -> None:
        await fill_topic(bootstrap, partition)
        async with open_reader(settings, "batches") as consumer:
            [end] = (await consumer.end_offsets([partition])).values()
            consumer.assign([partition])
            plain = await read_plainly(bootstrap, partition, 0, end)
            # From the middle of a batch, its ends, an aborted transaction, and behind everything.
            for start in (*range(0, end, 61), end):
                consumer.seek(partition, start)
                rows: list[Row] = []
                while await consumer.position(partition) < end:
                    rows += map(row_of, one_by_one(runs_of(await read_on(consumer, partition, 200, most_batches))))
                assert rows == [row for row in plain if row[0] >= start]

    asyncio.run(compare())
