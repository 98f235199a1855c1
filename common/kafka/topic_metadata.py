"""What topics there are and their ids, by a request of our own: aiokafka 0.14 stops at Metadata v5, ids begin with v10.

A topic that is deleted and created again under its name gets another id (KIP-516, Kafka 2.8): only by it are the two
told apart. https://kafka.apache.org/protocol
"""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    InvalidTopicError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
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

from common.broker_errors.refusals import not_allowed
from common.errors import ConfigurationError

_NO_TAGS: dict[int, bytes] = {}
_TAGS = ("tags", TaggedFields)
_NO_ID = bytes(16)
NOT_TOLD = -(2**31)
# The first version of Metadata that can forbid creation: of Kafka 0.11.
_FIRST_THAT_CAN_SAY_SO = 4


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that exists. `id` is as Kafka's tools print it, "" where the broker tells none.

    `operations` are what this user may do with it, as bits (KIP-430), below 0 where the broker does not tell.
    """

    id: str
    partitions: int
    replicas: int
    operations: int = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Described:
    """The cluster's id, the topics that exist, and those of which this user may not know whether they do."""

    cluster: str
    topics: dict[str, Topic]
    hidden: tuple[str, ...] = ()


def create_no_topic_by_asking() -> None:
    """Make aiokafka's metadata requests create nothing; may be called again.

    A broker with auto.create.topics.enable, Kafka's default, creates each topic that it is asked about otherwise: with
    its own partition count and cleanup policy.
    """
    MetadataRequest.build = _build_without_creation


def _build_without_creation(request: Any, kind: Any) -> Any:
    if kind.API_VERSION < _FIRST_THAT_CAN_SAY_SO:
        return kind(request._topics if kind.API_VERSION else request._topics or [])  # noqa: SLF001 - its builder
    allow_creation = False
    return kind(request._topics, allow_creation)  # noqa: SLF001 - same


async def describe_topics(client: AIOKafkaClient, names: Collection[str]) -> tuple[str, dict[str, Topic]]:
    """The cluster's id, and those of these topics that exist.

    Raises KafkaError when the broker does not answer, ConfigurationError when a topic may not be described.
    """
    described = await ask_about_topics(client, names)
    if described.hidden:
        raise ConfigurationError("\n".join(not_allowed("Describe", "Topic", name) for name in described.hidden))
    return described.cluster, described.topics


async def ask_about_topics(client: AIOKafkaClient, names: Collection[str]) -> Described:
    """What a broker says about these topics. KafkaError when it does not answer."""
    node = client.get_random_node()
    if node is None:
        raise NodeNotReadyError("no broker is known")
    try:
        answer = await client.send(node, _TopicsRequest(names))
    except NotImplementedError:
        # A broker from before ids.
        answer = await client.send(node, MetadataRequest(list(names)))
    found: dict[str, Topic] = {}
    hidden: list[str] = []
    # By name, because versions differ in what stands before.
    for topic in answer.to_object()["topics"]:
        name, error = topic["topic"], for_code(topic["error_code"])
        if error is TopicAuthorizationFailedError:
            hidden.append(name)
        elif error not in (UnknownTopicOrPartitionError, InvalidTopicError):
            # Without a leader it exists all the same.
            if topic["error_code"] and error is not LeaderNotAvailableError:
                raise error(f"topic {name} cannot be described")
            found[name] = _topic(topic)
    return Described(str(answer.cluster_id), found, tuple(hidden))


def _topic(fields: Mapping[str, Any]) -> Topic:
    partitions = fields["partitions"]
    replicas = max((len(partition["replicas"]) for partition in partitions), default=0)
    topic_id, operations = fields.get("topic_id", _NO_ID), fields.get("operations", NOT_TOLD)
    return Topic(_shown(topic_id), len(partitions), replicas, operations)


def _shown(topic_id: bytes) -> str:
    return "" if topic_id == _NO_ID else base64.urlsafe_b64encode(topic_id).decode().rstrip("=")


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
        topics = [(_NO_ID, name, _NO_TAGS) for name in self._names]
        allow_creation, operations_on_cluster, operations_on_topics = False, False, True
        return request_struct_class(topics, allow_creation, operations_on_cluster, operations_on_topics, _NO_TAGS)
