"""The topics, and making sure that they are there."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from common.errors import ConfigurationError
from common.refusals import creation_error
from common.replicas import find_replica_misfits
from common.settings import ServiceSettings
from common.visible_topics import describe_topics, existing_topics, refuse_hidden

log = structlog.get_logger()

# Small segments, cleaned early: a compacted topic is read from its beginning at every start.
_COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(8 * 2**20),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": "3600000",
}
_LIMIT = "max.message.bytes"
# With it, the default is what brokers take unless told otherwise: 1,048,588.
_BESIDE_A_BATCH_BYTES = 48_588


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics' full names."""

    rows: str
    categorized: str
    rejected: str
    schemas: str
    progress: str
    sources: str

    @classmethod
    def under(cls, prefix: str) -> "Topics":
        """The names under a prefix."""
        return cls(*(prefix + name for name in ("rows", "categorized", "rejected", "schemas", "progress", "sources")))

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.rows, self.categorized, self.rejected, self.schemas, self.progress, self.sources


@dataclass(frozen=True, slots=True)
class Groups:
    """The consumer groups' full names: each service's replicas are one group."""

    ingest: str
    split: str
    sink: str

    @classmethod
    def under(cls, prefix: str) -> "Groups":
        """The names under a prefix."""
        return cls(*(prefix + name for name in ("ingest", "split", "sink")))


def partition_for(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key (murmur2)."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions) if partitions > 1 else 0


async def ensure_topics(admin: AIOKafkaAdminClient, settings: ServiceSettings) -> Topics:
    """Create the topics that are missing; whichever service comes first does it.

    Raises ConfigurationError where a topic's partition count differs from the settings: it is never altered, because
    a key's partition, and with it a file's one writer, depends on it; or where it does not take rows of MAX_ROW_BYTES.
    """
    topics = Topics.under(settings.topic_prefix)
    wanted = _wanted(settings)
    existing = await _partition_counts(admin, wanted)
    missing = [
        NewTopic(name, count, settings.replication_factor, topic_configs=configs)
        for name, (count, configs) in wanted.items()
        if name not in existing
    ]
    if missing:
        response = await admin.create_topics(missing)
        for name, code, *told in response.topic_errors:
            error = for_code(code)
            if not code:
                log.info("topic created", topic=name)
            # Otherwise another service was quicker: its counts are checked below.
            elif error is not TopicAlreadyExistsError:
                raise creation_error(name, error(f"cannot create topic {name}"), next(iter(told), ""), settings)
        existing = await _partition_counts(admin, wanted)
        if existing.keys() != wanted.keys():
            # Metadata spreads after the creation is answered.
            raise KafkaError("the topics are not known to all brokers yet")
    for misfit in (
        *partition_misfits(existing, settings),
        *limit_misfits(await find_limits(admin, existing), settings),
    ):
        raise ConfigurationError(misfit)
    if misfits := await find_replica_misfits(admin, existing):
        raise ConfigurationError("\n".join(misfits))
    return topics


def partition_misfits(existing: Mapping[str, int], settings: ServiceSettings) -> list[str]:
    """One line for each existing topic whose partition count is not what it must be."""
    return [
        f"topic {name} has {existing[name]} partitions, PARTITIONS says {count}: set PARTITIONS="
        f"{existing[name]}, or another TOPIC_PREFIX to begin anew"
        if count == settings.partitions
        else f"topic {name} has {existing[name]} partitions and must have {count}: delete it"
        for name, (count, _) in _wanted(settings).items()
        if existing.get(name, count) != count
    ]


def limit_misfits(limits: Mapping[str, int], settings: ServiceSettings) -> list[str]:
    """One line for each topic of rows that does not take a row of MAX_ROW_BYTES."""
    return [
        f"topic {name} takes {limits[name]} bytes at once, MAX_ROW_BYTES={settings.max_row_bytes} needs "
        f"{settings.max_batch_bytes}: set its {_LIMIT} higher, or MAX_ROW_BYTES lower"
        for name, (_, configs) in _wanted(settings).items()
        if _LIMIT in configs and limits.get(name, settings.max_batch_bytes) < settings.max_batch_bytes
    ]


async def find_limits(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """How many bytes each of these topics takes at once; those left out that may not be asked."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, {_LIMIT: None}) for name in names]
    limits: dict[str, int] = {}
    for answer in await admin.describe_configs(asked) if asked else ():
        for error_code, _, _, name, entries in answer.resources:
            if not error_code:
                limits[name] = next(int(value) for key, value, *_ in entries if key == _LIMIT)
    return limits


def _wanted(settings: ServiceSettings) -> dict[str, tuple[int, dict[str, str]]]:
    """Each topic's partition count and configuration."""
    topics = Topics.under(settings.topic_prefix)
    of_rows = {_LIMIT: str(settings.max_batch_bytes + _BESIDE_A_BATCH_BYTES)}
    return {
        topics.rows: (settings.partitions, of_rows),
        topics.categorized: (settings.partitions, of_rows),
        topics.rejected: (1, of_rows),
        topics.schemas: (1, _COMPACTED),
        topics.progress: (settings.partitions, _COMPACTED),
        topics.sources: (1, _COMPACTED),
    }


async def _partition_counts(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, int]:
    described = await describe_topics(admin, names)
    refuse_hidden(described)
    return existing_topics(described)
