"""What group split has committed, read and written as it is: librdkafka does neither with the metadata."""

import asyncio
import json
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from tests.integration.pipeline import Pipeline


class Point(NamedTuple):
    """A committed offset, and what stands beside it."""

    partition: int
    offset: int
    metadata: str

    @property
    def fields(self) -> dict[str, Any]:
        """The position."""
        found: dict[str, Any] = json.loads(self.metadata)
        return found


def committed(pipeline: Pipeline) -> list[Point]:
    """What is committed, by partition; nothing of those that have nothing."""
    return asyncio.run(_committed(pipeline))


def commit(pipeline: Pipeline, point: Point) -> Point:
    """Commit this; return it."""
    asyncio.run(_commit(pipeline, point))
    return point


async def _committed(pipeline: Pipeline) -> list[Point]:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(f"{pipeline.prefix}split")
    finally:
        await admin.close()
    points = {key.partition: value for key, value in found.items() if value.offset >= 0}
    return [Point(number, points[number].offset, points[number].metadata) for number in sorted(points)]


async def _commit(pipeline: Pipeline, point: Point) -> None:
    group = f"{pipeline.prefix}split"
    consumer = AIOKafkaConsumer(bootstrap_servers=pipeline.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(f"{pipeline.prefix}rows", point.partition)
        consumer.assign([partition])
        await consumer.commit({partition: OffsetAndMetadata(point.offset, point.metadata)})
    finally:
        await consumer.stop()
