"""Which topics exist, with their ids, by a request of our own: aiokafka 0.14 stops at Metadata v5, ids begin with v10.

Without it a topic that was deleted and created again would pass for the one that was there (KIP-516, Kafka 2.8).
https://kafka.apache.org/protocol. No upstream issue known.
"""

from collections.abc import Collection, Mapping
from io import BytesIO
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)
from msgspec import Struct

NO_TOPIC_ID = bytes(16)
_NO_TAGS: dict[int, bytes] = {}
_TAGS = ("tags", TaggedFields)


class TopicsAnswer(Struct, frozen=True):
    """The cluster's id, and for each topic the answer's fields by name, because versions order them differently.

    A broker from before topic ids leaves out `topic_id` and `operations`.
    """

    cluster: str
    topics: tuple[Mapping[str, Any], ...]


async def ask_for_topics(admin: AIOKafkaAdminClient, names: Collection[str]) -> TopicsAnswer:
    """Ask any broker about these topics, and create none. KafkaError when it does not answer."""
    client = admin._client  # noqa: SLF001 - the admin client has no such request
    node = client.get_random_node()
    if node is None:
        raise NodeNotReadyError("no broker is known")
    try:
        answer = await client.send(node, _TopicsRequest(names))
    except NotImplementedError:
        # A broker older than topic ids.
        answer = await client.send(node, MetadataRequest(list(names)))
    return TopicsAnswer(str(answer.cluster_id), tuple(answer.to_object()["topics"]))


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka has no types
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


_BROKERS = CompactArray(
    ("node_id", Int32), ("host", CompactString()), ("port", Int32), ("rack", CompactString()), _TAGS
)
_PARTITIONS = CompactArray(
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline", CompactArray(Int32)),
    _TAGS,
)
_TOPICS = CompactArray(
    ("error_code", Int16),
    ("topic", CompactString()),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", _PARTITIONS),
    ("operations", Int32),
    _TAGS,
)


class _TopicsResponseV10(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _BROKERS),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        ("topics", _TOPICS),
        ("operations", Int32),
        _TAGS,
    )


class _TopicsRequestV10(RequestStruct):  # type: ignore[misc]  # same
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TopicsResponseV10
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", CompactString()), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
        _TAGS,
    )


class _TopicsRequest(Request[_TopicsRequestV10]):  # type: ignore[misc]  # same
    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def build(self, request_struct_class: Any) -> Any:
        topics = [(NO_TOPIC_ID, name, _NO_TAGS) for name in self._names]
        allow_creation, operations_on_cluster, operations_on_topics = False, False, True
        return request_struct_class(topics, allow_creation, operations_on_cluster, operations_on_topics, _NO_TAGS)
