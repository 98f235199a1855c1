"""Whether a transaction is carried out everywhere: a broker answers a commit before it writes the markers.

The partitions' leaders know (DescribeProducers, Kafka 2.8), and the group's coordinator (OffsetFetch with
require_stable, Kafka 2.5). aiokafka 0.14 has neither request: without them a forgotten commit would lose rows or send
them twice, see forgotten_commits. https://kafka.apache.org/protocol. No upstream issue known.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, LeaderNotAvailableError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from msgspec import Struct

from common.broker_errors.missing_permissions import asking_about, error_for

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05
# Markers come within milliseconds. After this time the session begins again, and its start waits for late ones.
_PATIENCE_S = 3.0
# Not among aiokafka's errors.
_UNSTABLE_OFFSET_COMMIT = 88
_NO_TAGS: dict[int, bytes] = {}
_TAGS = ("tags", TaggedFields)


def _by_topic(partitions: CompactArray) -> tuple[str, CompactArray]:
    """The field that requests and responses have for partitions, by topic."""
    return "topics", CompactArray(("topic", CompactString()), ("partitions", partitions), _TAGS)


class Consumed(NamedTuple):
    """The partition whose offset a producer's transactions commit for a group."""

    group: str
    partition: TopicPartition


class Unmarked(Struct, frozen=True):
    """Where a transaction still waits for its marker: in these partitions, and in the group's offsets."""

    partitions: tuple[TopicPartition, ...] = ()
    offset: bool = False

    def __bool__(self) -> bool:
        return bool(self.partitions) or self.offset


class TransactionMarkers:
    """Finds where the last transaction of a started producer has no marker yet."""

    def __init__(self, producer: AIOKafkaProducer, consumed: Consumed | None = None) -> None:
        self._producer = producer
        self._client = producer.client
        self._consumed = consumed
        self._coordinator: int | None = None

    async def find_missing(self, partitions: Collection[TopicPartition]) -> Unmarked:
        """Where a marker is missing: in which of these partitions, and for the consumed partition's offset.

        Waits for leaders and coordinators that are on the move.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self._ask(partitions)
            except KafkaError as error:
                if not error.retriable:
                    raise
            self._coordinator = None
            await self._client.force_metadata_update()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def wait(self, partitions: Collection[TopicPartition]) -> None:
        """Wait until none is missing; KafkaError when one is missing for too long while the brokers answer."""
        pause_s = _FIRST_PAUSE_S
        answered_at: float | None = None
        while await self.find_missing(partitions):
            now = asyncio.get_running_loop().time()
            answered_at = answered_at or now
            if now - answered_at > _PATIENCE_S:
                raise KafkaError("a commit was answered and is not carried out")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _ask(self, partitions: Collection[TopicPartition]) -> Unmarked:
        by_leader: defaultdict[int, list[TopicPartition]] = defaultdict(list)
        # All at once: each topic that the client does not know yet takes a question.
        await asyncio.gather(*map(self._producer.partitions_for, {partition.topic for partition in partitions}))
        for partition in partitions:
            leader = self._client.cluster.leader_for_partition(partition)
            if leader is None or leader < 0:
                raise LeaderNotAvailableError(f"{partition.topic}-{partition.partition} has no leader now")
            by_leader[leader].append(partition)
        offset, *found = await asyncio.gather(
            self._is_offset_unstable(), *(self._find_open(leader, led) for leader, led in by_leader.items())
        )
        return Unmarked(tuple(chain.from_iterable(found)), offset)

    async def _find_open(self, leader: int, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        answer = await self._client.send(leader, _DescribeProducersRequest(partitions))
        own = self._producer._txn_manager.producer_id  # noqa: SLF001 - aiokafka keeps it nowhere else
        found: list[TopicPartition] = []
        for topic, described, _ in answer.topics:
            for number, error_code, _, producers, _ in described:
                if error_code:
                    raise error_for(error_code, topic, f"{topic}-{number}: cannot ask for its transactions")
                if any(producer == own and first >= 0 for producer, _, _, _, _, first, _ in producers):
                    found.append(TopicPartition(topic, number))
        return found

    async def _is_offset_unstable(self) -> bool:
        if self._consumed is None:
            return False
        group, partition = self._consumed
        if self._coordinator is None:
            with asking_about(group):
                self._coordinator = await self._client.coordinator_lookup(CoordinationType.GROUP, group)
        request = _StableOffsetFetchRequest(group, partition)
        answer = await self._client.send(self._coordinator, request, group=ConnectionGroup.COORDINATION)
        codes = {answer.error_code, *(code for _, offsets, _ in answer.topics for *_, code, _ in offsets)}
        for code in codes - {0, _UNSTABLE_OFFSET_COMMIT}:
            raise error_for(code, group, f"group {group}: cannot ask for its offsets")
        return _UNSTABLE_OFFSET_COMMIT in codes


_PRODUCERS = CompactArray(
    ("producer_id", Int64),
    ("producer_epoch", Int32),
    ("last_sequence", Int32),
    ("last_timestamp", Int64),
    ("coordinator_epoch", Int32),
    ("transaction_start_offset", Int64),
    _TAGS,
)
_DESCRIBED = CompactArray(
    ("partition", Int32),
    ("error_code", Int16),
    ("error_message", CompactString()),
    ("producers", _PRODUCERS),
    _TAGS,
)
_OFFSETS = CompactArray(
    ("partition", Int32),
    ("offset", Int64),
    ("leader_epoch", Int32),
    ("metadata", CompactString()),
    ("error_code", Int16),
    _TAGS,
)


class _DescribeProducersResponseV0(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(("throttle_time_ms", Int32), _by_topic(_DESCRIBED), _TAGS)


class _DescribeProducersRequestV0(RequestStruct):  # type: ignore[misc]  # same
    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _DescribeProducersResponseV0
    SCHEMA = Schema(_by_topic(CompactArray(Int32)), _TAGS)


class _DescribeProducersRequest(Request[_DescribeProducersRequestV0]):  # type: ignore[misc]  # same
    API_KEY = 61

    def __init__(self, partitions: Collection[TopicPartition]) -> None:
        self._partitions = partitions

    def build(self, request_struct_class: Any) -> Any:
        by_topic: defaultdict[str, list[int]] = defaultdict(list)
        for topic, number in self._partitions:
            by_topic[topic].append(number)
        topics = [(topic, numbers, _NO_TAGS) for topic, numbers in by_topic.items()]
        return request_struct_class(topics, _NO_TAGS)


class _OffsetFetchResponseV7(Response):  # type: ignore[misc]  # same
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(("throttle_time_ms", Int32), _by_topic(_OFFSETS), ("error_code", Int16), _TAGS)


class _OffsetFetchRequestV7(RequestStruct):  # type: ignore[misc]  # same
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _OffsetFetchResponseV7
    SCHEMA = Schema(("group", CompactString()), _by_topic(CompactArray(Int32)), ("require_stable", Boolean), _TAGS)


class _StableOffsetFetchRequest(Request[_OffsetFetchRequestV7]):  # type: ignore[misc]  # same
    API_KEY = 9

    def __init__(self, group: str, partition: TopicPartition) -> None:
        self._group = group
        self._partition = partition

    def build(self, request_struct_class: Any) -> Any:
        topics = [(self._partition.topic, [self._partition.partition], _NO_TAGS)]
        require_stable = True
        return request_struct_class(self._group, topics, require_stable, _NO_TAGS)
