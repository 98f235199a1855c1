"""The start of every session: the topics exist, and they are those that the pipeline was begun with."""

import asyncio
from collections.abc import Iterable, Sequence

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct

from common.aiokafka_internals.consumer_state import know_topics
from common.broker_errors.refusals import TOPIC, creation_error, not_allowed
from common.errors import ConfigurationError, ServiceError
from common.kafka.clients import open_reader
from common.kafka.topic_metadata import Topic, describe_topics
from common.pipeline.partitions import partitions_of
from common.pipeline.registry import Registry
from common.pipeline.topics import (
    LIMIT,
    MIN_REPLICAS,
    POLICY,
    RETENTION,
    FoundTopics,
    Topics,
    find_losses,
    find_misfits,
    wanted_topics,
)
from common.protocol.identity import NEWEST, Identity, find_changes
from common.settings import ServiceSettings

log = structlog.get_logger()

_CONFIGS = (LIMIT, POLICY, RETENTION, MIN_REPLICAS)
# A broker that has just started may not know all topics yet, and may still know one that was just deleted: only once
# brokers have said so for this long is a topic missing, or another one.
_SETTLED_S = 5.0
_LOOK_INTERVAL_S = 1.0
_KNOWN_INTERVAL_S = 0.1
_MOST_LOOKS = 30
# A broker has partitions some milliseconds after it has answered that it made them.
_RETRY_MS = 20


class Pipeline(Struct, frozen=True):
    """A pipeline that is begun: its topics, their ids, and the schemas known so far."""

    topics: Topics
    identity: Identity
    registry: Registry

    @property
    def ids(self) -> dict[str, str]:
        """The ids of the topics that positions depend on, by short name."""
        names = {getattr(self.topics, name): name for name in Topics.__struct_fields__}
        return {names[name]: self.identity.topics[name] for name in self.topics.first}


async def open_pipeline(admin: AIOKafkaAdminClient, settings: ServiceSettings, *, begins: bool) -> Pipeline:
    """Create missing topics, and begin the pipeline if no service has done so before.

    With `begins` false the service writes to no topic: its own ledgers name the topics that they are of.

    Raises ServiceError if a topic is gone, is another than the pipeline was begun with, or has lost records that it
    must keep; ConfigurationError if one does not fit the settings. Then nothing was created or written.
    """
    registry = Registry(settings, Topics.under(settings.topic_prefix))
    found = await look_at_pipeline(admin, settings, registry)
    _refuse(found, settings)
    version = NEWEST if found.begun is None else found.begun.format
    missing = [name for name in registry.topics.of_format(version) if name not in found.topics]
    if missing:
        found = await create_topics(admin, settings, registry, missing)
        _refuse(found, settings)
    now = found.identity(settings.partitions)
    begun = await registry.begin(now) if begins else registry.begun or now
    # Another service was quicker, perhaps with other settings or topics.
    if changes := find_changes(begun, now):
        raise ConfigurationError("\n".join(changes))
    return Pipeline(registry.topics, begun, registry)


async def create_topics(
    admin: AIOKafkaAdminClient, settings: ServiceSettings, registry: Registry, names: Sequence[str]
) -> FoundTopics:
    """Create these topics, as far as they do not exist; return what exists once all of them are known."""
    await _create(admin, settings, names)
    return await _look_until_known(admin, settings, registry, names)


async def look_at_pipeline(
    admin: AIOKafkaAdminClient, settings: ServiceSettings, registry: Registry, *, settled_s: float = _SETTLED_S
) -> FoundTopics:
    """What exists of the pipeline; a change counts once it has lasted `settled_s`. Creates and writes nothing."""
    names = Topics.under(settings.topic_prefix)
    for_s = 0.0
    while True:
        cluster, topics = await describe_topics(admin, names.names)
        found = FoundTopics(cluster, topics)
        if topics:
            configs = await find_configs(admin, topics)
            async with open_reader(settings, "nacre-start", retry_ms=_RETRY_MS) as reader:
                await know_topics(reader, topics)
                # The ends first: the identity is written before any other record, so a pipeline with records has one.
                ends = await reader.end_offsets(_partitions(topics, names.names))
                beginnings = await reader.beginning_offsets(_partitions(topics, names.compacted))
                if names.schemas in topics and not beginnings[TopicPartition(names.schemas, 0)]:
                    await registry.read(reader)
            written = {partition.topic for partition, end in ends.items() if end > 0}
            # Not the topic with the identity: a service killed while writing it leaves only an aborted record there.
            used = tuple(name for name in names.names if name in written and name != names.schemas)
            expired = {(topic, number): first for (topic, number), first in beginnings.items() if first > 0}
            found = FoundTopics(cluster, topics, configs, registry.begun, used, expired)
        if for_s >= settled_s or not _is_unsettled(found):
            return found
        await asyncio.sleep(_LOOK_INTERVAL_S)
        for_s += _LOOK_INTERVAL_S


async def _look_until_known(
    admin: AIOKafkaAdminClient, settings: ServiceSettings, registry: Registry, names: Sequence[str]
) -> FoundTopics:
    """What exists once these topics are known: metadata spreads only after a creation is answered."""
    for _ in range(_MOST_LOOKS):
        found = await look_at_pipeline(admin, settings, registry)
        if all(name in found.topics for name in names):
            return found
        await asyncio.sleep(_KNOWN_INTERVAL_S)
    raise KafkaError("the topics are not known to all brokers yet")


def _is_unsettled(found: FoundTopics) -> bool:
    """Whether there is a change that another broker, or the same one in a moment, may deny."""
    return found.begun is not None and bool(find_changes(found.begun, found.identity(found.begun.partitions)))


def _partitions(topics: dict[str, Topic], names: Iterable[str]) -> list[TopicPartition]:
    return [each for name in names if name in topics for each in partitions_of(name, topics[name].partitions)]


def _refuse(found: FoundTopics, settings: ServiceSettings) -> None:
    if losses := find_losses(found, settings):
        raise ServiceError("\n".join(losses))
    if misfits := find_misfits(found, settings):
        raise ConfigurationError("\n".join(misfits))


async def _create(admin: AIOKafkaAdminClient, settings: ServiceSettings, names: Iterable[str]) -> None:
    wanted = wanted_topics(settings)
    new = [
        NewTopic(name, wanted[name].partitions, settings.replication_factor, topic_configs=dict(wanted[name].configs))
        for name in names
    ]
    response = await admin.create_topics(new)
    for name, code, *messages in response.topic_errors:
        error = for_code(code)
        if not code:
            log.info("topic created", topic=name)
        # Otherwise another service was quicker: the next look judges the topic that it created.
        elif error is not TopicAlreadyExistsError:
            raise creation_error(name, error(f"cannot create topic {name}"), next(iter(messages), ""), settings)


async def find_configs(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The configuration of these topics, as far as it matters here. ConfigurationError if this user may not read it."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(_CONFIGS)) for name in names]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for code, message, _, name, entries in answer.resources:
            error = for_code(code)
            if error.__name__.endswith("AuthorizationFailedError"):
                raise ConfigurationError(not_allowed("DescribeConfigs", TOPIC, name))
            if code:
                raise error(f"topic {name}: its configuration cannot be asked for: {message}")
            found[name] = {key: value for key, value, *_ in entries}
    return found
