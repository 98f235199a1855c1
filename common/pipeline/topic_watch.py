"""Checking, while a service runs, that its topics are those it began with, and keep what they must."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from common.errors import ConfigurationError, ServiceError
from common.kafka.topic_metadata import Topic, describe_topics
from common.pipeline.start import find_configs
from common.pipeline.topics import policy_misfits, replica_misfits
from common.protocol.identity import Identity, find_changes
from common.settings import ServiceSettings

_LOOK_INTERVAL_S = 2.0
# One broker's answer may be outdated: another broker, or the same one later, has to confirm it.
_SETTLED_S = 4.0
# Brokers act on a changed policy later than this.
_CONFIG_INTERVAL_S = 10.0
_CONFIRM_INTERVAL_S = 0.5


async def watch_topics(admin: AIOKafkaAdminClient, settings: ServiceSettings, begun: Identity) -> NoReturn:
    """Raise ServiceError once a topic is gone or another one has its name: it cannot come back.

    Clients would go on by name alone, silently, at offsets of a topic that is gone. ConfigurationError once a topic's
    configuration makes it lose records or accept none.
    """
    clock = asyncio.get_running_loop().time
    changed_at: float | None = None
    configs_at = clock()
    while True:
        await asyncio.sleep(_LOOK_INTERVAL_S)
        try:
            changes, topics = await _look(admin, begun)
            if not changes and clock() - configs_at >= _CONFIG_INTERVAL_S:
                await _check_configs(admin, settings, topics)
                configs_at = clock()
        except (KafkaError, OSError, TimeoutError):
            # No broker answers, which is reported elsewhere.
            changed_at = None
            continue
        if not changes:
            changed_at = None
            continue
        changed_at = clock() if changed_at is None else changed_at
        if clock() - changed_at >= _SETTLED_S:
            raise ServiceError("\n".join(changes))


async def confirm_topics(admin: AIOKafkaAdminClient, begun: Identity) -> None:
    """Return once the topics are those that the service began with: what was read before the call is then theirs.

    If they never are, `watch_topics` ends the session. Raises KafkaError when no broker answers.
    """
    while (await _look(admin, begun))[0]:  # noqa: ASYNC110 - only a broker's answer says so
        await asyncio.sleep(_CONFIRM_INTERVAL_S)


async def _look(admin: AIOKafkaAdminClient, begun: Identity) -> tuple[list[str], Mapping[str, Topic]]:
    """What has changed, and the topics as they are."""
    cluster, topics = await describe_topics(admin, begun.topics)
    ids = {name: topic.id for name, topic in topics.items()}
    return find_changes(begun, Identity(cluster, begun.partitions, ids)), topics


async def _check_configs(admin: AIOKafkaAdminClient, settings: ServiceSettings, topics: Mapping[str, Topic]) -> None:
    configs = await find_configs(admin, topics)
    if misfits := [*policy_misfits(configs, settings), *replica_misfits(topics, configs)]:
        raise ConfigurationError("\n".join(misfits))
