"""Finding out when everything is done: ingest has ended, as far as can be known, and all that it read is processed."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum, auto

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import for_code
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct

from common.aiokafka_internals.consumer_state import know_topics
from common.errors import ConfigurationError, ServiceError
from common.kafka.clients import open_reader
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.kafka.reading import read_to_end
from common.pipeline.partitions import Partitions
from common.pipeline.topics import Groups, describe_expired
from common.protocol.finite_run import describe_run, explain_open
from common.protocol.position import Position, PositionError, decode_position, digest_splits
from common.protocol.progress import Progress, Run, decode_progress
from common.settings import ServiceSettings

log = structlog.get_logger()

_LOOK_INTERVAL_S = 0.1
# The stages process the last rows within milliseconds.
_FIRST_LOOK_INTERVAL_S = 0.01
# The reason for a wait is logged once it has lasted this long.
_SAID_AFTER_S = 5.0
# A service that finds everything done, and had nothing to do, may have started beside an ingest that has not begun yet.
_PATIENCE_S = 15.0
_NO_OTHER_RUN_YET = (
    f"all that ingest has read so far is processed: if no other run of it begins within {_PATIENCE_S:g} s, there is "
    "nothing to do"
)
_NO_OTHER_RUN = (
    "nothing to do: all that ingest has read is processed, and no other run of it has begun. If one begins later, "
    "start this service again"
)
_REBALANCING = ("PreparingRebalance", "CompletingRebalance")


Filled = Callable[[Collection[Position]], bool]
Ours = Callable[[OffsetAndMetadata], bool]


class Far(Enum):
    """How far a group is: through, behind, or unknown because its members are still joining."""

    THROUGH = auto()
    BEHIND = auto()
    UNSETTLED = auto()


class Stage(Struct, frozen=True):
    """A consumer group and the partitions that it reads.

    `is_filled` judges split's positions, `is_ours` whether an offset counts. With `asks_members`, the group is through
    only if every member has the splits of these positions.
    """

    group: str
    partitions: tuple[TopicPartition, ...]
    is_filled: Filled | None = None
    asks_members: bool = False
    is_ours: Ours | None = None


def stages(
    settings: ServiceSettings, is_filled: Filled | None = None, is_ours: Ours | None = None
) -> tuple[Stage, Stage]:
    """The stages behind ingest: split and sink.

    `is_filled` is split's own test of its positions. A service that does not know SPLIT_BY passes none, and relies on
    what split's positions and members say. `is_ours` is sink's own test of its offsets.
    """
    groups = Groups.under(settings.topic_prefix)
    partitions = Partitions.of(settings)
    to_split = Stage(groups.split, partitions.rows, is_filled or _none_is_filling, asks_members=is_filled is None)
    to_sink = Stage(groups.sink, partitions.categorized_and_rejected, is_ours=is_ours)
    return to_split, to_sink


def all_ended(sources: Mapping[str, Progress]) -> bool:
    """Whether there is a source, and every source has ended."""
    return bool(sources) and all(progress.ended for progress in sources.values())


def caught_up(committed: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> bool:
    """Whether each partition is committed to its end. Where nothing is committed yet, the offset is -1."""
    return all(max(0, committed.get(partition, 0)) >= end for partition, end in ends.items())


class CompletionWatch:
    """Looks at the sources and at the groups' offsets."""

    def __init__(self, settings: ServiceSettings, admin: AIOKafkaAdminClient) -> None:
        self._partitions = Partitions.of(settings).progress
        self._admin = admin
        self._count = settings.partitions
        self.sources: dict[str, Progress] = {}
        self.runs: dict[int, Run] = {}

    @property
    def open(self) -> str:
        """Why ingest may not have ended; "" when it has, as far as can be known."""
        return explain_open(self.sources, self.runs, self._count)

    async def read_sources(self, consumer: AIOKafkaConsumer) -> None:
        """Bring `sources` and `runs` up to date, with a consumer that nothing else uses."""
        if not consumer.assignment():
            consumer.assign(self._partitions)
            for partition, first in (await consumer.beginning_offsets(self._partitions)).items():
                if first:
                    raise ServiceError(describe_expired(partition.topic, partition.partition, first))
                consumer.seek(partition, 0)
        async for record in read_to_end(consumer, *self._partitions):
            try:
                decoded = decode_progress(record.value)
            except ValueError as error:
                raise ServiceError(f"topic {self._partitions[0].topic}: a record is {error}") from None
            if isinstance(decoded, Run):
                self.runs[decoded.partition] = decoded
            else:
                self.sources[decoded.source] = decoded

    async def how_far(self, consumer: AIOKafkaConsumer, stage: Stage) -> Far:
        """Whether the stage's group has processed everything. The ends are read before its offsets.

        The consumer has to see uncommitted records: the markers of one commit appear one by one, and rows whose marker
        is yet to come are work to do.
        """
        ends = await consumer.end_offsets(stage.partitions)
        found = await committed_offsets(self._admin, stage.group, stage.partitions)
        committed = {partition: point.offset for partition, point in found.items()}
        if not caught_up(committed, ends):
            return Far.BEHIND
        if stage.is_ours is not None and not all(map(stage.is_ours, found.values())):
            return Far.UNSETTLED
        if stage.is_filled is None:
            return Far.THROUGH
        positions = _positions(stage.group, found)
        if not stage.is_filled(positions):
            return Far.BEHIND
        agree = not stage.asks_members or await self._members_agree(stage.group, positions)
        return Far.THROUGH if agree else Far.UNSETTLED

    async def _members_agree(self, group: str, positions: Collection[Position]) -> bool:
        """Whether every member of split's group has the splits of these positions, and no member is joining."""
        [response] = await self._admin.describe_consumer_groups([group])
        [(error_code, _, state, _, _, members, *_)] = response.groups
        if error_code:
            raise for_code(error_code)
        said = [
            ConsumerProtocolMemberMetadata.decode(metadata).user_data for _, _, _, metadata, *_ in members if metadata
        ]
        kinds = {orjson.loads(each)["kind"] for each in said if each}
        return state not in _REBALANCING and all(
            digest_splits(position.main.splits) == kind for position in positions for kind in kinds
        )


class Waiting:
    """Logs what a wait is for, once for each kind of reason, when it has lasted a while."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._kind = ""
        self._said: set[str] = set()

    def on(self, reason: str) -> None:
        """Note what the wait is for now."""
        kind, now = reason.partition(":")[0], time.monotonic()
        if kind != self._kind:
            self._kind, self._since = kind, now
        if now - self._since >= _SAID_AFTER_S and kind not in self._said:
            self._said.add(kind)
            log.info("not done yet", reason=reason)


async def wait_until_done(
    settings: ServiceSettings,
    admin: AIOKafkaAdminClient,
    to_pass: Sequence[Stage],
    has_worked: Callable[[], bool],
) -> CompletionWatch:
    """Wait until ingest has ended and each of these stages, in their order, has processed everything; log how much.

    Return the watch, which knows what was read.

    The order matters: what a stage has yet to read may become work for the next. If everything is done at the first
    look and this service had nothing to do (`has_worked`), an earlier run may have done it: then a new run gets
    15 s to begin.
    """
    watch, waiting, is_news, began = CompletionWatch(settings, admin), Waiting(), False, time.monotonic()
    pause_s = _FIRST_LOOK_INTERVAL_S
    async with (
        open_reader(settings, "nacre-watch") as consumer,
        open_reader(settings, "nacre-watch-ends", "read_uncommitted") as ends,
    ):
        await know_topics(ends, {partition.topic for stage in to_pass for partition in stage.partitions})
        while True:
            await watch.read_sources(consumer)
            behind, far = ("", Far.BEHIND) if watch.open else await _find_behind(watch, ends, to_pass)
            reason = watch.open or behind
            # A group that is forming says nothing about a run: this service may have started together with it.
            is_news = is_news or (bool(reason) and far is Far.BEHIND) or has_worked()
            if reason:
                waiting.on(reason)
            elif is_news:
                log.info("all is processed", **describe_run(watch.sources, watch.runs))
                return watch
            elif time.monotonic() - began < _PATIENCE_S:
                waiting.on(_NO_OTHER_RUN_YET)
            else:
                log.warning(_NO_OTHER_RUN, waited_s=_PATIENCE_S, **describe_run(watch.sources, watch.runs))
                return watch
            pause_s = _FIRST_LOOK_INTERVAL_S if watch.open else min(2 * pause_s, _LOOK_INTERVAL_S)
            await asyncio.sleep(_LOOK_INTERVAL_S if watch.open else pause_s)


async def _find_behind(watch: CompletionWatch, ends: AIOKafkaConsumer, to_pass: Sequence[Stage]) -> tuple[str, Far]:
    for stage in to_pass:
        if (far := await watch.how_far(ends, stage)) is not Far.THROUGH:
            return f"group {stage.group} has not processed all: it is at work, or its service is not running", far
    return "", Far.THROUGH


def _none_is_filling(positions: Collection[Position]) -> bool:
    return not any(position.filling for position in positions)


def _positions(group: str, found: Mapping[TopicPartition, OffsetAndMetadata]) -> list[Position]:
    try:
        return [
            decode_position(point.metadata, point.offset)
            for point in found.values()
            if point.offset != NOTHING_COMMITTED
        ]
    except PositionError as error:
        raise ConfigurationError(
            f"group {group} has a position that this version cannot read: {error}. Begin again with another "
            "TOPIC_PREFIX and another OUTPUT_DIR"
        ) from None
