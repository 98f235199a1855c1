"""Which topics exist, and their ids.

A topic that is deleted and created again under its name gets another id (KIP-516, Kafka 2.8), and nothing else shows
that it is another topic.
"""

import base64
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    InvalidTopicError,
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from msgspec import Struct

from common.aiokafka_internals.topic_requests import NO_TOPIC_ID, ask_for_topics
from common.broker_errors.refusals import TOPIC, not_allowed
from common.errors import ConfigurationError

_NOT_SAID = -(2**31)


class Topic(Struct, frozen=True):
    """A topic that exists. `id` is as Kafka's tools print it, "" where the broker has none.

    `operations` has a bit for each thing that this user may do with it (KIP-430), and is negative where the broker does
    not say.
    """

    id: str
    partitions: int
    replicas: int
    operations: int = _NOT_SAID


class Described(Struct, frozen=True):
    """The cluster's id, the topics that exist, and those that this user may not see."""

    cluster: str
    topics: dict[str, Topic]
    hidden: tuple[str, ...] = ()


async def describe_topics(admin: AIOKafkaAdminClient, names: Collection[str]) -> tuple[str, dict[str, Topic]]:
    """The cluster's id, and those of these topics that exist.

    Raises KafkaError when the broker does not answer, ConfigurationError when a topic may not be described.
    """
    described = await ask_about_topics(admin, names)
    if described.hidden:
        raise ConfigurationError("\n".join(not_allowed("Describe", TOPIC, name) for name in described.hidden))
    return described.cluster, described.topics


async def ask_about_topics(admin: AIOKafkaAdminClient, names: Collection[str]) -> Described:
    """What a broker says about these topics. KafkaError when it does not answer."""
    answer = await ask_for_topics(admin, names)
    found: dict[str, Topic] = {}
    hidden: list[str] = []
    for topic in answer.topics:
        name, error = topic["topic"], for_code(topic["error_code"])
        if error is TopicAuthorizationFailedError:
            hidden.append(name)
        elif error not in (UnknownTopicOrPartitionError, InvalidTopicError):
            # Without a leader it exists all the same.
            if topic["error_code"] and error is not LeaderNotAvailableError:
                raise error(f"topic {name} cannot be described")
            found[name] = _topic(topic)
    return Described(answer.cluster, found, tuple(hidden))


def _topic(fields: Mapping[str, Any]) -> Topic:
    partitions = fields["partitions"]
    replicas = max((len(partition["replicas"]) for partition in partitions), default=0)
    topic_id, operations = fields.get("topic_id", NO_TOPIC_ID), fields.get("operations", _NOT_SAID)
    return Topic(_shown(topic_id), len(partitions), replicas, operations)


def _shown(topic_id: bytes) -> str:
    return "" if topic_id == NO_TOPIC_ID else base64.urlsafe_b64encode(topic_id).decode().rstrip("=")
