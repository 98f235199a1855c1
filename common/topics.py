"""The topics, and making sure that they are there."""

from dataclasses import dataclass

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from common.errors import ConfigurationError
from common.settings import ServiceSettings

log = structlog.get_logger()

# Small segments, cleaned early: a compacted topic is read from its beginning at every start.
_COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(8 * 2**20),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": "3600000",
}


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics' full names."""

    rows: str
    categorized: str
    rejected: str
    schemas: str
    progress: str

    @classmethod
    def under(cls, prefix: str) -> "Topics":
        """The names under a prefix."""
        return cls(*(prefix + name for name in ("rows", "categorized", "rejected", "schemas", "progress")))


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
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


async def ensure_topics(admin: AIOKafkaAdminClient, settings: ServiceSettings) -> Topics:
    """Create the topics that are missing; whichever service comes first does it.

    Raises ConfigurationError where a topic's partition count differs from the settings: it is never altered, because
    a key's partition, and with it a file's one writer, depends on it.
    """
    topics = Topics.under(settings.topic_prefix)
    wanted = {
        topics.rows: (settings.partitions, {}),
        topics.categorized: (settings.partitions, {}),
        topics.rejected: (1, {}),
        topics.schemas: (1, _COMPACTED),
        topics.progress: (settings.partitions, _COMPACTED),
    }
    existing = await _partition_counts(admin, wanted)
    missing = [
        NewTopic(name, count, settings.replication_factor, topic_configs=configs)
        for name, (count, configs) in wanted.items()
        if name not in existing
    ]
    if missing:
        response = await admin.create_topics(missing)
        for name, code, *_ in response.topic_errors:
            error = for_code(code)
            if not code:
                log.info("topic created", topic=name)
            # Otherwise another service was quicker: its counts are checked below.
            elif error is not TopicAlreadyExistsError:
                raise error(f"cannot create topic {name}")
        existing = await _partition_counts(admin, wanted)
        if existing.keys() != wanted.keys():
            # Metadata spreads after the creation is answered.
            raise KafkaError("the topics are not known to all brokers yet")
    for name, (count, _) in wanted.items():
        if existing[name] != count:
            raise ConfigurationError(
                f"topic {name} has {existing[name]} partitions, PARTITIONS says {count}: set PARTITIONS="
                f"{existing[name]}, or another TOPIC_PREFIX to begin anew"
                if count == settings.partitions
                else f"topic {name} has {existing[name]} partitions and must have {count}: delete it"
            )
    return topics


async def _partition_counts(admin: AIOKafkaAdminClient, names: object) -> dict[str, int]:
    described = await admin.describe_topics(list(names))  # type: ignore[call-overload]
    return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}
