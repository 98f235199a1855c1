"""Topics asked about by name, without making any; and those of them that this client may not see."""

from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.metadata import MetadataRequest

from common.errors import ConfigurationError
from common.refusals import not_allowed


async def describe_topics(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """What the broker says of each of these topics, an error where one is not there or may not be seen."""
    request = MetadataRequest(list(names), allow_auto_topic_creation=False)
    answer = await admin._send_request(request)  # noqa: SLF001 - its own describe_topics makes topics by asking
    return {topic["topic"]: topic for topic in answer.to_object()["topics"]}


def hidden_topics(described: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Those that may not be seen; whether they exist is not told."""
    hidden = TopicAuthorizationFailedError.errno
    return sorted(name for name, topic in described.items() if topic["error_code"] == hidden)


def existing_topics(described: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The partition counts of those that exist."""
    return {name: len(topic["partitions"]) for name, topic in described.items() if topic["error_code"] == 0}


def refuse_hidden(described: Mapping[str, Mapping[str, Any]]) -> None:
    """ConfigurationError, a line for each topic that may not be seen."""
    if hidden := hidden_topics(described):
        raise ConfigurationError("\n".join(not_allowed("Describe", "Topic", name) for name in hidden))
