"""Looking at a pipeline: what Kafka says of it, and what is at hand of its files.

A look joins no group, writes nothing, creates no topic, and asks for Nacre's own topics under one TOPIC_PREFIX alone:

- `progress`, `sources` and `receipts`, read on from the last look: how far each source is, where its file is, and
  whether it is delivered. `shares` are not read: they are many, and what they prove is in the receipts;
- what the groups split and sink have committed, and the ends of the committed records in the topics that they read.
  Split's positions have counts of rows, so that neither `rows` nor `rejected` has to be read for them;
- the members of the three groups, with their partitions;
- of `rows`, `categorized` and `rejected` what lies behind a committed offset, up to a limit (ops/status/counting.py).
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct

from common.aiokafka_internals.consumer_state import know_topics
from common.errors import ConfigurationError
from common.kafka.clients import open_admin, open_reader
from common.kafka.offsets import committed_offsets
from common.kafka.topic_metadata import Topic, describe_topics
from common.pipeline.partitions import partitions_of
from common.pipeline.topics import Groups, Topics
from common.protocol.identity import NEWEST
from common.protocol.output_folder import ledger_path
from common.protocol.position import Position, PositionError, SplitGroup, decode_position
from common.protocol.progress import Progress, Run, decode_progress
from common.protocol.receipts import decode_receipt
from common.settings import ServiceSettings
from ops.groups import describe_group
from ops.status.counting import RowCount, RowCounter
from ops.status.disk import DiskReads
from ops.status.files import count_written, is_behind, look_at_files
from ops.status.latest import LatestValues
from ops.status.observation import SINK, SPLIT, STAGES, Observation, Replica, SeenFile, SeenPartition, SeenReceipt
from services.ingest.naming.locations import SourceLocation, decode_location
from services.sink.disk.folder import decode_folder


class NotBegunError(ConfigurationError):
    """No service has begun this pipeline yet."""


class _Known:
    """What earlier looks have read: all of it is of the topics with these ids."""

    def __init__(self, topics: Topics, ids: Mapping[str, str]) -> None:
        self.ids = dict(ids)
        self.progress: LatestValues[Progress | Run] = LatestValues(topics.progress, decode_progress)
        self.locations: LatestValues[SourceLocation] = LatestValues(topics.sources, decode_location)
        self.receipts: LatestValues[SeenReceipt] = LatestValues(topics.receipts, _receipt_of)
        self.counters = {stage: RowCounter(topics.rejected) for stage in (SPLIT, SINK)}


class _Clients(Struct, frozen=True):
    """The clients of a session."""

    admin: AIOKafkaAdminClient
    reader: AIOKafkaConsumer


class Observer:
    """Looks at one pipeline again and again. What is known survives a broker that is away.

    `read_ledgers` gets the output folder, TOPIC_PREFIX and the topics' ids, in a thread of its own; it returns what
    `count_written` does.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        output_dir: Path,
        settle_s: float,
        read_ledgers: Callable[[Path, str, Mapping[str, str]], tuple[int, int] | None] = count_written,
    ) -> None:
        self._settings = settings
        self._settle_s = settle_s
        self._output_dir = output_dir
        self._read_ledgers = read_ledgers
        self._topics = Topics.under(settings.topic_prefix)
        self._groups = Groups.under(settings.topic_prefix)
        self._known = _Known(self._topics, {})
        self._clients: _Clients | None = None
        self._files = DiskReads[dict[str, SeenFile]]("files")
        self._ledgers = DiskReads[tuple[tuple[int, int] | None, str]]("ledgers")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Looks need to be within this block. KafkaError, OSError when no broker answers."""
        async with open_admin(self._settings) as admin, open_reader(self._settings, "nacre-status") as reader:
            self._clients = _Clients(admin, reader)
            yield

    async def look(self) -> Observation:
        """One look. KafkaError, OSError when no broker answers; NotBegunError; ServiceError for a malformed record."""
        assert self._clients is not None  # noqa: S101 - it is connected
        admin, reader = self._clients.admin, self._clients.reader
        existing = await self._find_topics(admin)
        ids = {name: topic.id for name, topic in existing.items()}
        to_split = partitions_of(self._topics.rows, existing[self._topics.rows].partitions)
        to_sink = (
            *partitions_of(self._topics.categorized, existing[self._topics.categorized].partitions),
            *partitions_of(self._topics.rejected, existing[self._topics.rejected].partitions),
        )
        safe = _safe_offsets(await committed_offsets(admin, self._groups.sink, to_sink))
        # First, so that the rows read are never fewer than those safe, however long the disk takes. Paces divide by the
        # time between two looks, so everything that they measure is read right next to the look's own time.
        written, trouble = await self._ledgers.read(lambda: self._read_folder(ids, safe), (None, ""))
        rows_in_files, rows_rejected = (None, None) if written is None else written
        known = self._known
        for values, topic in (
            (known.progress, self._topics.progress),
            (known.locations, self._topics.sources),
            (known.receipts, self._topics.receipts),
        ):
            if topic in existing:
                await know_topics(reader, known.ids)
                await values.read(reader, partitions_of(topic, existing[topic].partitions))
        sources, runs = self._sources()
        at_s, at_ms = time.monotonic(), round(time.time() * 1000)
        at_split = await committed_offsets(admin, self._groups.split, to_split)
        at_sink = await committed_offsets(admin, self._groups.sink, to_sink)
        positions = {partition: _position_of(point) for partition, point in at_split.items()}
        in_split = {partition: _farthest_back(position) for partition, position in positions.items()}
        in_sink = {partition: point.offset for partition, point in at_sink.items()}
        replicas = {stage: await self._replicas(admin, stage) for stage in STAGES}
        seen = {
            SPLIT: await self._count(reader, SPLIT, in_split),
            SINK: await self._count(reader, SINK, in_sink),
        }
        locations = {source: where for (_, source), where in known.locations.values.items() if where is not None}
        files = await self._files.read(lambda: look_at_files(sources, locations, at_ms / 1000, self._settle_s), {})
        return Observation(
            at_s,
            at_ms,
            sources,
            files,
            {source: receipt for (_, source), receipt in known.receipts.values.items()},
            runs,
            replicas,
            seen,
            existing[self._topics.progress].partitions,
            sum(position.rows for position in positions.values()),
            sum(held.rejected for each in positions.values() for group in each.groups for held in group.splits),
            known.counters[SPLIT].row_share,
            any(position.filling for position in positions.values()),
            known.counters[SINK].row_share,
            rows_in_files,
            rows_rejected,
            frozenset(held.name for each in positions.values() for group in _in_use(each) for held in group.splits),
            self._ledgers.trouble or trouble,
        )

    def _read_folder(self, ids: Mapping[str, str], safe: Mapping[str, int]) -> tuple[tuple[int, int] | None, str]:
        """What the ledgers have, None and why if they are not those that sink fills."""
        if is_behind(self._output_dir, safe):
            return None, "sink fills another OUTPUT_DIR, or this is an old copy of it"
        return self._read_ledgers(self._output_dir, self._settings.topic_prefix, ids), ""

    async def _find_topics(self, admin: AIOKafkaAdminClient) -> dict[str, Topic]:
        _, existing = await describe_topics(admin, self._topics.names)
        if any(name not in existing for name in self._topics.first):
            raise NotBegunError(f"nothing is begun under TOPIC_PREFIX={self._settings.topic_prefix}: is it right?")
        ids = {name: topic.id for name, topic in existing.items()}
        if self._known.ids != ids:
            # They were deleted and created again: what was read of the former ones says nothing about these.
            self._known = _Known(self._topics, ids)
        return existing

    def _sources(self) -> tuple[dict[str, Progress], dict[int, Run]]:
        """How far each source is read; one of which nothing is read yet is in `sources` alone."""
        found = [each for each in self._known.progress.values.values() if each is not None]
        sources = {each.source: each for each in found if isinstance(each, Progress)}
        for (_, source), location in self._known.locations.values.items():
            # A file that has gone before anything of it was read is no source.
            if source not in sources and location is not None and location.file:
                sources[source] = Progress(source, format=NEWEST)
        return sources, {each.partition: each for each in found if isinstance(each, Run)}

    async def _replicas(self, admin: AIOKafkaAdminClient, stage: str) -> tuple[Replica, ...]:
        group = await describe_group(admin, getattr(self._groups, stage))
        prefix, client_prefix = self._settings.topic_prefix, f"nacre-{stage}."
        return tuple(
            sorted(
                (
                    Replica(
                        member.client.removeprefix(client_prefix),
                        {topic.removeprefix(prefix): numbers for topic, numbers in member.partitions.items()},
                    )
                    for member in group.members
                ),
                key=lambda replica: replica.client,
            )
        )

    async def _count(
        self, reader: AIOKafkaConsumer, stage: str, committed: Mapping[TopicPartition, int]
    ) -> tuple[SeenPartition, ...]:
        """What a stage has left behind these offsets. What retention has taken is not left."""
        partitions: Sequence[TopicPartition] = list(committed)
        # The reader keeps all topics assigned: aiokafka takes 0.1 s to learn of one that it does not know.
        await know_topics(reader, self._known.ids)
        ends = await reader.end_offsets(partitions)
        behind = [each for each in partitions if committed[each] < ends[each]]
        firsts = await reader.beginning_offsets(behind) if behind else {}
        spans = {each: (max(committed[each], firsts.get(each, 0)), ends[each]) for each in partitions}
        counted = await self._known.counters[stage].count(reader, spans)
        prefix = self._settings.topic_prefix
        return tuple(
            _seen(each.topic.removeprefix(prefix), each.partition, spans[each], counted[each]) for each in partitions
        )


def _seen(topic: str, number: int, span: tuple[int, int], count: RowCount) -> SeenPartition:
    return SeenPartition(topic, number, *span, count.rows, count.is_exact, count.oldest_ms)


def _receipt_of(value: bytes) -> SeenReceipt:
    receipt = decode_receipt(value)
    rejected = receipt.rejected.rows + sum(each.rejected.rows for each in receipt.splits.values())
    return SeenReceipt(receipt.number, receipt.tally.rows, rejected, receipt.safe_ms, receipt.p50_ms, receipt.p99_ms)


def _safe_offsets(at_sink: Mapping[TopicPartition, OffsetAndMetadata]) -> dict[str, int]:
    """What a sink itself has committed, by the paths of the ledgers."""
    return {ledger_path(*each): point.offset for each, point in at_sink.items() if decode_folder(point.metadata)}


def _position_of(point: OffsetAndMetadata) -> Position:
    """What split has committed. Of a position that this version cannot read, the offset alone."""
    try:
        return decode_position(point.metadata, point.offset)
    except PositionError:
        return Position(SplitGroup(point.offset))


def _farthest_back(position: Position) -> int:
    """The offset before which no split has anything left: those that are being filled are behind the others."""
    return min(group.offset for group in _in_use(position))


def _in_use(position: Position) -> tuple[SplitGroup, ...]:
    """The groups of the splits that SPLIT_BY names."""
    return position.main, *position.filling
