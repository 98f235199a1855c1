"""The topics that are read, and the rows in their batches that are asked for."""

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct

from common.aiokafka_internals.fetched_batches import RecordBatch
from common.errors import ConfigurationError, ServiceError
from common.kafka.clients import open_admin
from common.kafka.topic_metadata import describe_topics
from common.pipeline.partitions import partitions_of
from common.pipeline.registry import Registry
from common.pipeline.topics import Topics
from common.protocol.identity import Identity
from common.settings import ServiceSettings
from common.waiting import within
from ops.tap.origins import OriginRun, Stage, origin_runs
from ops.tap.rows import Layout, Place, Row, rows_of
from ops.tap.selection import Selection

ANSWER_DEADLINE_S = 10.0


class TapRequest(Struct, frozen=True):
    """What is asked for: rows of these stages that the selection takes, and of each at most so many bytes."""

    stages: tuple[Stage, ...]
    selection: Selection
    most_bytes: int | None = None


class Tapped(Struct, frozen=True):
    """The topics that are read, by name, with their partitions and what identifies them."""

    stages: Mapping[str, Stage]
    partitions: tuple[TopicPartition, ...]
    identity: Identity


async def find_topics(admin: AIOKafkaAdminClient, settings: ServiceSettings, request: TapRequest) -> Tapped:
    """The topics of the stages. ConfigurationError if one is missing."""
    topics = Topics.under(settings.topic_prefix)
    stages = {getattr(topics, stage): stage for stage in request.stages}
    cluster, existing = await describe_topics(admin, [*stages, topics.schemas])
    for name in (*stages, topics.schemas):
        if name not in existing:
            raise ConfigurationError(f"topic {name} does not exist: is TOPIC_PREFIX right, and was a service started?")
    partitions = [each for name in stages for each in partitions_of(name, existing[name].partitions)]
    return Tapped(stages, tuple(partitions), identity_of(cluster, {name: existing[name].id for name in stages}))


def identity_of(cluster: str, topic_ids: Mapping[str, str]) -> Identity:
    """What a later look at the topics is compared with."""
    return Identity(cluster, 0, topic_ids)


class Reader:
    """Picks the rows that are asked for out of batches."""

    def __init__(self, settings: ServiceSettings, request: TapRequest) -> None:
        self._settings = settings
        self._request = request
        self._registry = Registry(settings, Topics.under(settings.topic_prefix))
        self._layouts: dict[str | None, Layout] = {None: Layout()}

    async def begin(self) -> Tapped:
        """Find the topics. ConfigurationError if one is missing, or cannot say what is asked for."""
        async with within(ANSWER_DEADLINE_S, "no answer"), open_admin(self._settings) as admin:
            tapped = await find_topics(admin, self._settings, self._request)
            await self._registry.known()
        begun, selection = self._registry.begun, self._request.selection
        if begun is not None and begun.format == 1 and selection.source and Stage.CATEGORIZED in self._request.stages:
            raise ConfigurationError(
                f"--source: rows of {Stage.CATEGORIZED} do not name it in format 1, in which this pipeline is: those "
                f"of {Stage.ROWS} do, or see nacre upgrade"
            )
        return tapped

    def place_of(self, tapped: Tapped, partition: TopicPartition, batch: RecordBatch) -> Place:
        """Where a batch is."""
        return Place(tapped.stages[partition.topic], partition.topic, partition.partition, batch.latest_ms)

    def runs(self, place: Place, batch: RecordBatch, end: int | None = None) -> Sequence[OriginRun]:
        """The runs of a batch that are asked for, from where it is wanted, before the offset `end`."""
        # The whole batch: it begins with the mark that says where its rows come from.
        found = (run.between(batch.start, end) for run in origin_runs(place.stage, batch.whole()))
        return [run for run in found if run is not None and self._request.selection(run.origin)]

    async def rows(self, run: OriginRun, place: Place, first: int, last: int) -> list[Row]:
        """The run's rows from index `first` to before `last`."""
        schema = run.origin.schema
        if schema not in self._layouts:
            assert schema is not None  # noqa: S101 - None is there from the beginning
            self._layouts[schema] = Layout.of((await self._registry.find(schema)).schema)
        return list(rows_of(run, place, self._layouts[schema], first, last, self._request.most_bytes))


async def skip_what_is_gone(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> int:
    """Go on behind records that were deleted before they were read; return how many offsets they had.

    ServiceError where none was deleted: the offsets are then beyond the end of a topic that is another one.
    """
    skipped = 0
    beginnings = await consumer.beginning_offsets(partitions)
    for partition in partitions:
        if (position := await consumer.position(partition)) < beginnings[partition]:
            skipped += beginnings[partition] - position
            consumer.seek(partition, beginnings[partition])
    if not skipped:
        names = ", ".join(sorted({partition.topic for partition in partitions}))
        raise ServiceError(f"topic {names} ends before where it was read: was it deleted and created again?")
    return skipped
