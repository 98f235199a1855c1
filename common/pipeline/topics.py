"""The topics and groups of a pipeline: their names, how the topics must be set up, and what is wrong with them."""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import astuple

from common.errors import ConfigurationError
from common.kafka.topic_metadata import Topic
from common.protocol.identity import Identity, find_changes
from common.settings import ServiceSettings

# Small segments, cleaned early: a compacted topic is read from its beginning at every start.
_COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(8 * 2**20),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": "3600000",
}
LIMIT = "max.message.bytes"
POLICY = "cleanup.policy"
RETENTION = "retention.ms"
MIN_REPLICAS = "min.insync.replicas"
# Chosen so that our default limit is the brokers' own: 1,048,588.
_BESIDE_A_BATCH_BYTES = 48_588
_MS_PER_HOUR = 3_600_000
FOR_EVER_MS = -1
_BEGIN_AGAIN = "begin again with another TOPIC_PREFIX and another OUTPUT_DIR"


class Topics(Struct, frozen=True):
    """The topics' full names."""

    rows: str
    categorized: str
    rejected: str
    schemas: str
    progress: str
    sources: str
    shares: str
    receipts: str

    @classmethod
    def under(cls, prefix: str) -> "Topics":
        """The names under a prefix."""
        return cls(*(prefix + name for name in cls.__struct_fields__))

    @property
    def names(self) -> tuple[str, ...]:
        """All topics."""
        return astuple(self)

    @property
    def first(self) -> tuple[str, ...]:
        """The topics of every format. Format 1 has no others."""
        return self.rows, self.categorized, self.rejected, self.schemas, self.progress, self.sources

    def of_format(self, version: int) -> tuple[str, ...]:
        """The topics of a pipeline in this format."""
        return self.first if version == 1 else self.names

    @property
    def compacted(self) -> tuple[str, ...]:
        """The topics from which nothing may expire. What the others that are compacted hold can be written again."""
        return self.schemas, self.progress, self.sources


class Groups(Struct, frozen=True):
    """The consumer groups' full names: each service's replicas are one group."""

    ingest: str
    split: str
    sink: str

    @classmethod
    def under(cls, prefix: str) -> "Groups":
        """The names under a prefix."""
        return cls(*(prefix + name for name in ("ingest", "split", "sink")))


class Wanted(Struct, frozen=True):
    """What a topic is created with."""

    partitions: int
    configs: Mapping[str, str]


class FoundTopics(Struct, frozen=True):
    """What exists of a pipeline: its cluster, its topics and their configuration, and the identity it was begun with.

    `used` are the topics, except `schemas`, that were ever written to. `expired` has the first offset that is left in
    each partition, by topic and number, where a topic has lost records that it must keep.
    """

    cluster: str
    topics: Mapping[str, Topic]
    configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    begun: Identity | None = None
    used: tuple[str, ...] = ()
    expired: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def identity(self, partitions: int) -> Identity:
        """The identity of the topics that exist."""
        return Identity(self.cluster, partitions, {name: topic.id for name, topic in self.topics.items()})


def wanted_topics(settings: ServiceSettings) -> dict[str, Wanted]:
    """What each topic is created with."""
    topics = Topics.under(settings.topic_prefix)
    retention_ms = settings.retention_h * _MS_PER_HOUR or FOR_EVER_MS
    of_rows = {
        POLICY: "delete",
        LIMIT: str(settings.max_batch_bytes + _BESIDE_A_BATCH_BYTES),
        RETENTION: str(retention_ms),
    }
    return {
        topics.rows: Wanted(settings.partitions, of_rows),
        topics.categorized: Wanted(settings.partitions, of_rows),
        topics.rejected: Wanted(1, of_rows),
        topics.schemas: Wanted(1, _COMPACTED),
        topics.progress: Wanted(settings.partitions, _COMPACTED),
        topics.sources: Wanted(1, _COMPACTED),
        topics.shares: Wanted(1, _COMPACTED),
        topics.receipts: Wanted(1, _COMPACTED),
    }


def find_losses(found: FoundTopics, settings: ServiceSettings) -> list[str]:
    """One line for each loss of what positions refer to: another cluster, a topic or its first records gone."""
    topics = Topics.under(settings.topic_prefix)
    if found.begun is not None and (changes := find_changes(found.begun, found.identity(found.begun.partitions))):
        return changes
    if found.expired:
        return [describe_expired(*place, first) for place, first in found.expired.items()]
    if found.begun is None and found.used:
        why = f"{topics.schemas} was deleted, or an earlier version began it"
        return [f"topic {topics.schemas} does not say what topic {found.used[0]} was begun with: {why}: {_BEGIN_AGAIN}"]
    return []


def describe_expired(topic: str, partition: int, first: int) -> str:
    """Say that a topic that must keep its records has lost those before its first offset."""
    return (
        f"topic {topic}, partition {partition}: its records before offset {first} are gone, and of this topic none may "
        f"be (its {POLICY} has been other than compact): {_BEGIN_AGAIN}"
    )


def find_misfits(found: FoundTopics, settings: ServiceSettings) -> list[str]:
    """One line for each topic that exists and is not set up as it must be."""
    return [
        *partition_misfits({name: topic.partitions for name, topic in found.topics.items()}, settings, found.begun),
        *policy_misfits(found.configs, settings),
        *limit_misfits({name: int(has[LIMIT]) for name, has in found.configs.items() if LIMIT in has}, settings),
        *replica_misfits(found.topics, found.configs),
    ]


def policy_misfits(configs: Mapping[str, Mapping[str, str]], settings: ServiceSettings) -> list[str]:
    """One line for each topic whose cleanup policy would lose what it must keep, or keep what it must not."""
    wanted = wanted_topics(settings)
    return [
        f"topic {name} has {POLICY}={has[POLICY]} and must have {must}: set that, or another TOPIC_PREFIX"
        for name, has in configs.items()
        if has.get(POLICY, must := wanted[name].configs[POLICY]) != must
    ]


def replica_misfits(topics: Mapping[str, Topic], configs: Mapping[str, Mapping[str, str]]) -> list[str]:
    """One line for each topic that accepts no record, because it has too few replicas."""
    return [
        f"topic {name} has {topic.replicas} replica{'s' * (topic.replicas != 1)} and {MIN_REPLICAS}={least}: nothing "
        f"can be written to it. Set its {MIN_REPLICAS} lower, or give it more replicas"
        for name, topic in sorted(topics.items())
        if (least := int(configs.get(name, {}).get(MIN_REPLICAS, "0"))) > topic.replicas
    ]


def check_partition(topic: str, partition: int, settings: ServiceSettings) -> None:
    """Raise ConfigurationError for a partition that was added while the pipeline ran: no key belongs there."""
    if partition >= (due := wanted_topics(settings)[topic].partitions):
        raise ConfigurationError(
            f"topic {topic} has a partition {partition}, and the pipeline was begun with {due}: a partition count "
            f"cannot be changed: {_BEGIN_AGAIN}"
        )


def partition_misfits(existing: Mapping[str, int], settings: ServiceSettings, begun: Identity | None) -> list[str]:
    """One line for each topic whose partition count is not what it must be. None is ever altered."""
    wanted = {name: topic.partitions for name, topic in wanted_topics(settings).items() if name in existing}
    topics = Topics.under(settings.topic_prefix)
    shared = {name: existing[name] for name in (topics.rows, topics.categorized, topics.progress) if name in existing}
    if begun is not None:
        # The count decides where a key's records are, and so which replica writes its file: no setting can follow it.
        due = {name: begun.partitions if name in shared else 1 for name in existing}
        added = [
            f"topic {name} has {existing[name]} partitions, and the pipeline was begun with {due[name]}: a partition "
            f"count cannot be changed: {_BEGIN_AGAIN}"
            for name in existing
            if existing[name] != due[name]
        ]
        if added or begun.partitions == settings.partitions:
            return added
    agreed = set(shared.values())
    if len(agreed) == 1 and agreed != {settings.partitions}:
        [count] = agreed
        name, way_out = next(iter(shared)), f"set PARTITIONS={count}, or another TOPIC_PREFIX to begin again"
        return [f"topic {name} has {count} partitions, PARTITIONS says {settings.partitions}: {way_out}"]
    return [
        f"topic {name} has {count} partitions and must have {wanted[name]}: delete it while it is empty, or set "
        "another TOPIC_PREFIX"
        for name, count in existing.items()
        if count != wanted[name]
    ]


def limit_misfits(limits: Mapping[str, int], settings: ServiceSettings) -> list[str]:
    """One line for each topic of rows that does not take a row of MAX_ROW_BYTES."""
    return [
        f"topic {name} takes {limits[name]} bytes at once, MAX_ROW_BYTES={settings.max_row_bytes} needs "
        f"{settings.max_batch_bytes}: set its {LIMIT} higher, or MAX_ROW_BYTES lower"
        for name, wanted in wanted_topics(settings).items()
        if LIMIT in wanted.configs and limits.get(name, settings.max_batch_bytes) < settings.max_batch_bytes
    ]
