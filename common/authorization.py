"""Asking a broker what this user may do (KIP-430, Kafka 2.3), so that a permission that lacks is named at the start.

Later the broker would only say that something was refused. https://kafka.apache.org/protocol
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from common.errors import ConfigurationError
from common.permissions import (
    BEGINNERS,
    GROUP,
    OPERATIONS,
    TOPIC,
    TRANSACTIONAL_ID,
    Permission,
    explain_missing,
    find_missing,
    on_topics,
    permissions,
)
from common.pipeline_start import Pipeline, open_pipeline
from common.refusals import not_allowed
from common.settings import ServiceSettings
from common.topics import Topics

_NOTHING_ALLOWED = 0
# Of a topic that may not even be seen, it is known that it may be neither read nor written, each of which shows it.
_UNSEEN = 1 << OPERATIONS["DescribeConfigs"]
_PAUSE_S = 0.05


async def open_allowed_pipeline(admin: AIOKafkaAdminClient, settings: ServiceSettings, service: str) -> Pipeline:
    """The pipeline, opened once it is known that the service may do what it will.

    ConfigurationError, with a line for each kind of permission that lacks.
    """
    needed = permissions(service, settings.topic_prefix)
    topics = Topics.under(settings.topic_prefix)
    # First those that exist: what may not be looked at would fail below, without a word of what it takes.
    await _check(admin, needed, topics)
    try:
        pipeline = await open_pipeline(admin, settings, begins=service in BEGINNERS)
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        missing = [name for name in topics.names if name not in await _bits_by_topic(admin, topics.names)]
        raise ConfigurationError(not_allowed("Create", TOPIC, *(missing or topics.names))) from None
    await _check(admin, needed, topics)
    return pipeline


async def _check(admin: AIOKafkaAdminClient, needed: Sequence[Permission], topics: Topics) -> None:
    missing = find_missing(await _bits_by_topic(admin, topics.names), list(on_topics(needed, topics)))
    groups = [permission for permission in needed if permission.resource == GROUP]
    bits_by_group = {permission.name: await _bits_of_group(admin, permission.name) for permission in groups}
    missing += find_missing(bits_by_group, groups)
    ids = [permission for permission in needed if permission.resource == TRANSACTIONAL_ID]
    missing += [permission for permission in ids if await _is_denied(admin, permission)]
    if missing:
        raise ConfigurationError(explain_missing(missing))


async def _bits_by_topic(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, int]:
    """What the user may do with each topic that exists, or that it may not even know of."""
    client = admin._client  # noqa: SLF001 - the admin client has no such request
    answer = await client.send(client.get_random_node(), _MetadataRequest(names))
    bits: dict[str, int] = {}
    for code, name, _, _, allowed in answer.topics:
        error = for_code(code)
        if error is TopicAuthorizationFailedError:
            bits[name] = _UNSEEN
        elif not code:
            bits[name] = allowed
    return bits


async def _bits_of_group(admin: AIOKafkaAdminClient, group: str) -> int:
    """What the user may do with a group. Waits for a coordinator that is on the move, or not made yet."""
    while True:
        try:
            coordinator = await admin.find_coordinator(group)
            answer = await admin._client.send(coordinator, _DescribeGroupsRequest(group))  # noqa: SLF001 - same
            [(code, *_, allowed)] = answer.groups
            if code:
                raise for_code(code)(f"group {group}: cannot ask what this user may do")
        except GroupAuthorizationFailedError:
            return _NOTHING_ALLOWED
        except KafkaError as error:
            if not error.retriable:
                raise
        else:
            return int(allowed)
        await admin._client.force_metadata_update()  # noqa: SLF001 - same
        await asyncio.sleep(_PAUSE_S)


async def _is_denied(admin: AIOKafkaAdminClient, permission: Permission) -> bool:
    """Whether the user may not even see a transactional id, which Write on it allows as well.

    A broker tells no more of them than that: who may see it and not write is told when its producer starts.
    """
    try:
        await admin.find_coordinator(permission.name, CoordinationType.TRANSACTION)
    except TransactionalIdAuthorizationFailed:
        return True
    except KafkaError as error:
        # Its coordinator is not there yet, which is of no matter here.
        if not error.retriable:
            raise
    return False


_PARTITION = Array(
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", Array(Int32)),
    ("in_sync", Array(Int32)),
    ("offline", Array(Int32)),
)
_TOPIC = Array(
    ("error_code", Int16),
    ("topic", String()),
    ("is_internal", Boolean),
    ("partitions", _PARTITION),
    ("authorized_operations", Int32),
)
_BROKER = Array(("node_id", Int32), ("host", String()), ("port", Int32), ("rack", String()))


class _MetadataResponseV8(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _BROKER),
        ("cluster_id", String()),
        ("controller_id", Int32),
        ("topics", _TOPIC),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequestV8(RequestStruct):  # type: ignore[misc]  # same
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponseV8
    SCHEMA = Schema(
        ("topics", Array(String())),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestV8]):  # type: ignore[misc]  # same
    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = list(names)

    def build(self, request_struct_class: Any) -> Any:
        # No topic is created by asking.
        creates, cluster_too, topics_too = False, False, True
        return request_struct_class(self._names, creates, cluster_too, topics_too)


class _DescribeGroupsRequestV3(RequestStruct):  # type: ignore[misc]  # same
    """As aiokafka 0.14 has it, which reads the answer to it as that of an earlier version."""

    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class _DescribeGroupsRequest(Request[_DescribeGroupsRequestV3]):  # type: ignore[misc]  # same
    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: Any) -> Any:
        include_authorized_operations = True
        return request_struct_class([self._group], include_authorized_operations)
