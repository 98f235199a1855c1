"""The empty commit that completes a forgotten one."""

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from common.forgotten_commits import complete_forgotten_commit
from tests.integration.pipeline import ABALONE_FILE, Pipeline


async def test_a_producer_that_was_fenced_is_told_so(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    partition = TopicPartition(f"{pipeline.prefix}schemas", 0)
    fenced, successor = (
        AIOKafkaProducer(bootstrap_servers=pipeline.bootstrap, transactional_id=f"{pipeline.prefix}same")
        for _ in range(2)
    )
    await fenced.start()
    await successor.start()
    try:
        with pytest.raises(KafkaError):
            await complete_forgotten_commit(fenced, [partition])
        before = pipeline.observer.records("schemas")
        await complete_forgotten_commit(successor, [partition])
        assert pipeline.observer.records("schemas") == before
    finally:
        await successor.stop()
        await fenced.client.close()
