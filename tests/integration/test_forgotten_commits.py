"""The empty commit that completes a forgotten one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from common.forgotten_commits import complete_forgotten_commit
from tests.integration.pipeline import ABALONE_FILE, Pipeline

_ROUNDS = 30


@asynccontextmanager
async def open_producer(pipeline: Pipeline) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.bootstrap, transactional_id=f"{pipeline.prefix}same")
    await producer.start()
    try:
        yield producer
    finally:
        # One that was fenced says so again.
        with suppress(KafkaError):
            await producer.stop()


async def test_a_producer_that_was_fenced_is_told_so(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    partition = TopicPartition(f"{pipeline.prefix}schemas", 0)
    async with open_producer(pipeline) as fenced, open_producer(pipeline) as successor:
        with pytest.raises(KafkaError):
            await complete_forgotten_commit(fenced, [partition])
        before = pipeline.observer.records("schemas")
        await complete_forgotten_commit(successor, [partition])
        assert pipeline.observer.records("schemas") == before


async def test_all_that_it_completes_can_be_read_when_it_returns(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    partitions = [TopicPartition(f"{pipeline.prefix}rows", number) for number in range(2)]
    reader = AIOKafkaConsumer(bootstrap_servers=pipeline.bootstrap, isolation_level="read_committed")
    await reader.start()
    try:
        async with open_producer(pipeline) as producer:
            for _ in range(_ROUNDS):
                await complete_forgotten_commit(producer, partitions)
                ends = await reader.end_offsets(partitions[1:])
                # Behind this one, whatever came late is there.
                await complete_forgotten_commit(producer, partitions[:1])
                assert await reader.end_offsets(partitions[1:]) == ends
    finally:
        await reader.stop()
