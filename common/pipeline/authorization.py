"""Asking a broker what this user may do (KIP-430, Kafka 2.3), so that each start names every missing permission.

Later the broker would only say that something is not allowed.
"""

import asyncio
from collections.abc import Collection, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from common.aiokafka_internals.admin_requests import (
    ask_operations_on_group,
    find_transaction_coordinator,
    refresh_brokers,
)
from common.broker_errors.refusals import GROUP, TOPIC, TRANSACTIONAL_ID, not_allowed
from common.errors import ConfigurationError
from common.kafka.topic_metadata import ask_about_topics
from common.pipeline.permissions import (
    BEGINNERS,
    OPERATIONS,
    Permission,
    explain_missing,
    find_missing,
    on_topics,
    permissions,
)
from common.pipeline.start import Pipeline, open_pipeline
from common.pipeline.topics import Topics
from common.settings import ServiceSettings

_NOTHING_ALLOWED = 0
# A topic that the user may not see may be neither read nor written, because either permission would show it.
_UNSEEN = 1 << OPERATIONS["DescribeConfigs"]
_PAUSE_S = 0.05
_COORDINATOR_PATIENCE_S = 5.0


async def open_allowed_pipeline(admin: AIOKafkaAdminClient, settings: ServiceSettings, service: str) -> Pipeline:
    """Check that the service has every permission that it needs, then open the pipeline.

    Raises ConfigurationError with a line for each kind of permission that is missing, and what `open_pipeline` raises.
    """
    needed = permissions(service, settings.topic_prefix)
    topics = Topics.under(settings.topic_prefix)
    # First the topics that exist: below, one that may not be described would fail without the permission's name.
    first = await _bits_by_topic(admin, topics.names)
    missing = find_missing(first, list(on_topics(needed, topics)))
    for resource in (GROUP, TRANSACTIONAL_ID):
        asked = [permission for permission in needed if permission.resource == resource]
        missing += [permission for permission in asked if await _is_missing(admin, permission)]
    _refuse(missing)
    try:
        pipeline = await open_pipeline(admin, settings, begins=service in BEGINNERS)
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        not_created = [name for name in topics.names if name not in await _bits_by_topic(admin, topics.names)]
        raise ConfigurationError(not_allowed("Create", TOPIC, *(not_created or topics.names))) from None
    if len(first) < len(topics.names):
        _refuse(find_missing(await _bits_by_topic(admin, topics.names), list(on_topics(needed, topics))))
    return pipeline


def _refuse(missing: Sequence[Permission]) -> None:
    if missing:
        raise ConfigurationError(explain_missing(missing))


async def _bits_by_topic(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, int]:
    """What the user may do, as bits, with each topic that exists or that the user may not see."""
    described = await ask_about_topics(admin, names)
    bits = {name: topic.operations for name, topic in described.topics.items()}
    return bits | dict.fromkeys(described.hidden, _UNSEEN)


async def _is_missing(admin: AIOKafkaAdminClient, permission: Permission) -> bool:
    """Whether a permission on a group, or on a transactional id, is missing."""
    if permission.resource == GROUP:
        return bool(find_missing({permission.name: await _bits_of_group(admin, permission.name)}, [permission]))
    return await _is_denied(admin, permission)


async def _bits_of_group(admin: AIOKafkaAdminClient, group: str) -> int:
    """What the user may do with a group, as bits. Waits some seconds for a coordinator that moves or starts."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _COORDINATOR_PATIENCE_S
    while True:
        try:
            return await ask_operations_on_group(admin, group)
        except GroupAuthorizationFailedError:
            return _NOTHING_ALLOWED
        except KafkaError as error:
            if not error.retriable or clock() > deadline:
                raise
        await refresh_brokers(admin)
        await asyncio.sleep(_PAUSE_S)


async def _is_denied(admin: AIOKafkaAdminClient, permission: Permission) -> bool:
    """Whether the user may not even see a transactional id, which Write on it includes.

    A broker says no more about such an id. A user who may see it but not write is refused when its producer starts.
    """
    try:
        await find_transaction_coordinator(admin, permission.name)
    except TransactionalIdAuthorizationFailed:
        return True
    except KafkaError as error:
        # Its coordinator does not exist yet, which does not matter here.
        if not error.retriable:
            raise
    return False
