"""Watching, while a service runs, that its topics are those it began with."""

import asyncio
from typing import NoReturn

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from common.errors import ServiceError
from common.identity import Identity, find_changes
from common.topic_metadata import describe_topics

_LOOK_INTERVAL_S = 2.0
# What one broker says may be old: another, or the same again, has to say so too.
_SETTLED_S = 4.0
_CONFIRM_INTERVAL_S = 0.5


async def watch_topics(admin: AIOKafkaAdminClient, begun: Identity) -> NoReturn:
    """Wait, raise ServiceError once a topic is gone or another has its name: it cannot come back.

    Clients would go on by the name alone, in silence: at offsets of a topic that is gone.
    """
    clock = asyncio.get_running_loop().time
    changed_at: float | None = None
    while True:
        await asyncio.sleep(_LOOK_INTERVAL_S)
        try:
            changes = await _find_changes(admin, begun)
        except (KafkaError, OSError, TimeoutError):
            # Others say that no broker answers.
            changed_at = None
            continue
        if not changes:
            changed_at = None
            continue
        changed_at = clock() if changed_at is None else changed_at
        if clock() - changed_at >= _SETTLED_S:
            raise ServiceError("\n".join(changes))


async def confirm_topics(admin: AIOKafkaAdminClient, begun: Identity) -> None:
    """Return once the topics are those that the service began with: what was read of them before is theirs.

    Where they are not, for ever, `watch_topics` ends the wait. Raises KafkaError when no broker answers.
    """
    while await _find_changes(admin, begun):  # noqa: ASYNC110 - only a broker's answer says so
        await asyncio.sleep(_CONFIRM_INTERVAL_S)


async def _find_changes(admin: AIOKafkaAdminClient, begun: Identity) -> list[str]:
    cluster, topics = await describe_topics(admin._client, begun.topics)  # noqa: SLF001 - aiokafka has no such request
    ids = {name: topic.id for name, topic in topics.items()}
    return find_changes(begun, Identity(cluster, begun.partitions, ids))
