"""Reads, writes and deletes what group split has committed, as it is: librdkafka cannot with the metadata."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String
from aiokafka.structs import OffsetAndMetadata

from tests.harness.pipeline import Pipeline


class Point(NamedTuple):
    """A committed offset and its metadata."""

    partition: int
    offset: int
    metadata: str

    @property
    def fields(self) -> dict[str, Any]:
        """The position."""
        found: dict[str, Any] = json.loads(self.metadata)
        return found


def committed(pipeline: Pipeline) -> list[Point]:
    """What is committed, by partition; partitions without a commit are left out."""
    return asyncio.run(_committed(pipeline))


def commit(pipeline: Pipeline, point: Point) -> Point:
    """Commit this, and return it."""
    asyncio.run(_commit(pipeline, point))
    return point


def forget(pipeline: Pipeline, *partitions: int) -> None:
    """Delete what is committed for these, as `kafka-consumer-groups.sh --delete-offsets` does."""
    asyncio.run(_forget(pipeline, partitions))


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


async def _forget(pipeline: Pipeline, partitions: Sequence[int]) -> None:
    group = f"{pipeline.prefix}split"
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.bootstrap)
    await admin.start()
    try:
        coordinator = await admin.find_coordinator(group)
        request = _OffsetDeleteRequest(group, f"{pipeline.prefix}rows", partitions)
        answer = await admin._client.send(coordinator, request)  # noqa: SLF001 - the admin client has no such request
        assert not answer.error_code
        assert not any(code for _, codes in answer.topics for _, code in codes)
    finally:
        await admin.close()


class _OffsetDeleteResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 47
    API_VERSION = 0
    SCHEMA = Schema(
        ("error_code", Int16),
        ("throttle_time_ms", Int32),
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(("partition", Int32), ("code", Int16))))),
    )


class _OffsetDeleteRequestV0(RequestStruct):  # type: ignore[misc]  # same
    API_KEY = 47
    API_VERSION = 0
    RESPONSE_TYPE = _OffsetDeleteResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))),
    )


class _OffsetDeleteRequest(Request[_OffsetDeleteRequestV0]):  # type: ignore[misc]  # same
    API_KEY = 47

    def __init__(self, group: str, topic: str, partitions: Sequence[int]) -> None:
        self._group = group
        self._topics = [(topic, list(partitions))]

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._group, self._topics)
