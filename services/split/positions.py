"""What the group has committed: checked before any row is processed, and turned into a plan for the start."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from common.aiokafka_internals.consumer_state import know_topics
from common.errors import ConfigurationError, LostRecordsError, MissingRecordsError, ServiceError
from common.kafka.clients import open_reader
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.pipeline.partitions import Partitions
from common.pipeline.registry import Registry
from common.pipeline.topics import Groups, Topics
from common.protocol.position import (
    MOST_BYTES,
    HeldSplit,
    Position,
    PositionError,
    decode_position,
    misplaced,
    widest_size,
)
from common.waiting import unless_stopped
from services.split.categories.splits import Split
from services.split.planning import ExpiredError, Plan, RedefinedError, plan
from services.split.settings import SplitSettings
from services.split.split_names import SplitNames

log = structlog.get_logger()

_LOOK_INTERVAL_S = 0.05


class Positions:
    """The positions in all partitions of `rows`; `topic_ids` are the topics' present ids by short name, where known."""

    def __init__(
        self,
        settings: SplitSettings,
        topics: Topics,
        admin: AIOKafkaAdminClient,
        splits: Sequence[Split],
        topic_ids: Mapping[str, str],
        registry: Registry,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._topics = topics
        self._admin = admin
        self._topic_ids = topic_ids
        self._splits = splits
        self._group = Groups.under(settings.topic_prefix).split
        self._names = SplitNames(settings, topics)
        self._rows = Partitions.of(settings).rows
        self._logged: set[tuple[str, str]] = set()

    async def check(self) -> None:
        """Plan a start for every partition, so that what is refused is refused before any row is processed.

        Raises ServiceError.
        """
        points = await committed_offsets(self._admin, self._group, self._rows)
        self.check_kept(points)
        is_first = all(point.offset == NOTHING_COMMITTED for point in points.values())
        plans = [await self.plan(partition, points[partition], 0) for partition in self._rows]
        if is_first or any(each.new or each.back or each.gone or each.position.filling for each in plans):
            await self._names.add(self._splits)
            async with open_reader(self._settings, "nacre-split-check") as reader:
                await know_topics(reader, [self._topics.rows])
                beginnings = await reader.beginning_offsets(self._rows)
            for partition in self._rows:
                await self.plan(partition, points[partition], beginnings[partition])

    def check_kept(self, points: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Raise ServiceError where a position is gone: the partition's rows would come twice.

        A broker forgets the offsets of a group that has had no members for offsets.retention.minutes (7 days).
        """
        gone = [partition.partition for partition, point in points.items() if point.offset == NOTHING_COMMITTED]
        if gone and self._registry.has_positions:
            where = f"partition{'s' * (len(gone) > 1)} {', '.join(map(str, gone))}"
            raise ServiceError(
                f"topic {self._topics.rows}, {where}: the offset that group {self._group} had committed is gone, so "
                "nothing says which rows are processed: the broker has forgotten it (offsets.retention.minutes), or it "
                "was deleted. Begin again with another TOPIC_PREFIX and another OUTPUT_DIR"
            )

    async def wait_for_all(self, stop: asyncio.Event) -> None:
        """Return once every partition has a position and the registry has noted it: before, no row is processed.

        So a position that is missing later was lost: its partition cannot be one that was never begun.
        """
        while not self._registry.has_positions:
            points = await unless_stopped(stop, committed_offsets(self._admin, self._group, self._rows))
            if all(point.offset != NOTHING_COMMITTED for point in points.values()):
                await unless_stopped(stop, self._registry.note_positions())
            else:
                await unless_stopped(stop, asyncio.sleep(_LOOK_INTERVAL_S))

    async def plan(self, partition: TopicPartition, point: OffsetAndMetadata, beginning: int) -> Plan:
        """Plan a start in this partition, whose first offset is `beginning`. Raises ServiceError."""
        where = f"topic {partition.topic}, partition {partition.partition}"
        try:
            return self._plan(point, beginning)
        except PositionError as error:
            raise ConfigurationError(
                f"{where}: split cannot go on from the position that group {self._group} has committed: {error}. "
                "Begin again with another TOPIC_PREFIX and another OUTPUT_DIR"
            ) from None
        except RedefinedError as error:
            await self._names.read()
            raise ConfigurationError(_redefinition(error, self._splits, self._names)) from None
        except ExpiredError as error:
            if point.offset == NOTHING_COMMITTED:
                raise MissingRecordsError("split", partition.topic, partition.partition, beginning) from None
            if not error.splits:
                raise LostRecordsError(partition.topic, partition.partition, error.first, beginning) from None
            await self._names.read()
            raise ServiceError(
                f"{where}: the {beginning - error.first} records from {error.first} to {beginning - 1} were deleted, "
                f"and {self._shown(error.splits)} would lack them. To begin with what is left: nacre begin split; else "
                "begin again with another TOPIC_PREFIX and another OUTPUT_DIR"
            ) from None

    def _plan(self, point: OffsetAndMetadata, beginning: int) -> Plan:
        committed = None
        if point.offset != NOTHING_COMMITTED:
            committed = decode_position(point.metadata, point.offset)
            _check_topics(committed, self._settings, self._topic_ids)
        planned = plan(committed, self._splits, beginning)
        topics = {**planned.position.topics, **{name: known for name, known in self._topic_ids.items() if known}}
        position = replace(planned.position, topics=topics, partitions=self._settings.partitions)
        _check_size(position, self._splits)
        return replace(planned, position=position)

    async def log_changes(self, planned: Plan) -> None:
        """Log, once for all partitions, which splits are new, back or gone."""
        changes = (
            (planned.new, log.info, "the split is new: it is filled from the beginning of the rows"),
            (planned.back, log.info, "the split is back: it is filled from where it stood"),
            (planned.gone, log.warning, "the split is gone from SPLIT_BY: its files stay as they are"),
        )
        if planned.new or planned.back or planned.gone:
            await self._names.read()
        for splits, write, event in changes:
            for held in splits:
                if (held.name, event) not in self._logged:
                    self._logged.add((held.name, event))
                    write(event, split=self._names.name_of(held))

    def are_filled(self, committed: Collection[Position]) -> bool:
        """Whether all these positions have the splits of this SPLIT_BY, with nothing left to fill."""
        names = {held.name for held in plan(None, self._splits, 0).position.main.splits}
        return all(
            not position.filling and {held.name for held in position.main.splits} == names for position in committed
        )

    def _shown(self, splits: Collection[HeldSplit]) -> str:
        names = {held: self._names.name_of(held) for held in splits}
        return "split " + ", ".join(names.values()) if len(names) == 1 else "the splits " + ", ".join(names.values())


def _check_topics(committed: Position, settings: SplitSettings, topic_ids: Mapping[str, str]) -> None:
    if committed.partitions not in (0, settings.partitions):
        raise ConfigurationError(
            f"PARTITIONS={settings.partitions}, but split has processed {settings.topic_prefix}rows with "
            f"{committed.partitions} partitions: rows would come twice. Begin again with another "
            "TOPIC_PREFIX and another OUTPUT_DIR"
        )
    for name in misplaced(committed.topics, topic_ids):
        raise ConfigurationError(
            f"topic {settings.topic_prefix}{name} has the id {topic_ids[name]}, but split has processed rows with the "
            f"topic of id {committed.topics[name]}: it was deleted and created again. Begin again with another "
            "TOPIC_PREFIX and another OUTPUT_DIR"
        )


def _check_size(position: Position, splits: Collection[Split]) -> None:
    if (size := widest_size(position)) > MOST_BYTES:
        remembered = sum(len(group.splits) for group in position.resting)
        raise ConfigurationError(
            f"SPLIT_BY has {len(splits)} splits, and split remembers {remembered} that are gone from it: their "
            f"positions take {size} bytes, at most {MOST_BYTES}. Name fewer, or begin again with another "
            "TOPIC_PREFIX and another OUTPUT_DIR"
        )


def _redefinition(error: RedefinedError, splits: Collection[Split], names: SplitNames) -> str:
    taken = {split.name for split in splits}
    candidates = (f"{error.split.name}{number}" for number in range(2, 10**6))
    other = replace(error.split, name=next(name for name in candidates if name not in taken))
    return (
        f"split {error.split.name} was begun as {names.text_of(error.held)}, SPLIT_BY says "
        f"{error.split.text}: name the new one differently, as in {other.text}"
    )
