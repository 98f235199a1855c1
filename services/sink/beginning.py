"""Where a partition's files go on: the ledger's next offset, or the first for a new ledger, checked against Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from common.counts import Counts, PartitionCounts
from common.errors import ConfigurationError, LostRecordsError, MissingRecordsError, ServiceError
from common.kafka.assignors import KindAssignor
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.kafka.reading import find_end
from common.pipeline.partitions import Partitions
from common.pipeline.start import Pipeline
from common.pipeline.topic_watch import confirm_topics
from common.pipeline.topics import Groups
from common.protocol.acceptance import decode_acceptance
from common.protocol.output_folder import ledger_path
from common.waiting import Shared, unless_stopped
from services.sink.disk.errors import DiskError
from services.sink.disk.folder import decode_folder, folder_id
from services.sink.disk.lock import Lock
from services.sink.grouping import group_by_key, rejection_grouping
from services.sink.ledger.origin import Origin
from services.sink.partition_files import PartitionFiles
from services.sink.rolling.limits import NOTHING_FINISHED
from services.sink.settings import SinkSettings
from services.sink.threads import made_in_thread

log = structlog.get_logger()

_LOOK_INTERVAL_S = 0.2
_FOLDER_PATIENCE_S = 2.0
_COUNTING_S = 1.0


async def files_of(
    settings: SinkSettings, pipeline: Pipeline, partition: TopicPartition, counts: Counts
) -> PartitionFiles:
    """The files of a partition of `categorized`, or the one of rejected rows, which is never finished.

    Several partitions open their ledgers side by side, because each waits for the disk.
    """
    formats, is_rejected = pipeline.identity.formats, partition.topic == pipeline.topics.rejected
    make = partial(
        PartitionFiles,
        settings.output_dir,
        ledger_path(partition.topic, partition.partition),
        pipeline.registry,
        NOTHING_FINISHED if is_rejected else settings.rolling,
        group=rejection_grouping(formats) if is_rejected else group_by_key,
        formats=formats,
        counts=counts,
        held=counts.of(partition),
    )
    return await made_in_thread(make, PartitionFiles.close)


class StartingOffsets:
    """Finds where this replica's partitions begin. They begin at about the same time, and share their questions."""

    def __init__(
        self, settings: SinkSettings, pipeline: Pipeline, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer
    ) -> None:
        self._root = settings.output_dir
        self._pipeline = pipeline
        self._consumer = consumer
        group, partitions = Groups.under(settings.topic_prefix).sink, Partitions.of(settings).categorized_and_rejected
        self._committed = Shared(partial(committed_offsets, admin, group, partitions))
        self._beginnings = Shared(partial(consumer.beginning_offsets, partitions))
        self._ends = Shared(partial(consumer.end_offsets, partitions))
        self._confirmed = Shared(partial(confirm_topics, admin, pipeline.identity))

    async def open(self, partition: TopicPartition, files: PartitionFiles, lock: Lock, stop: asyncio.Event) -> int:
        """Recover the files and return the next offset. ServiceError if they cannot go on."""
        next_offset = await files.open(self._origin(partition.topic))
        if next_offset is None:
            if lock.knows_ledger:
                raise ServiceError(
                    f"the ledger of topic {partition.topic}, partition {partition.partition} in "
                    f"{self._root} was removed: its rows would be written again. Bring it back, or set "
                    "another OUTPUT_DIR, which gets everything that Kafka still has"
                )
            next_offset = await unless_stopped(stop, self._find_first(partition))
            # The ledger first: sink's first commit in Kafka replaces the acceptance that `_find_first` read there.
            await files.pass_over(next_offset)
        # Before any row is written: from now on a missing ledger was removed, and this is no first start.
        await asyncio.to_thread(lock.note_ledger)
        if self._pipeline.identity.format > 1 and await unless_stopped(stop, self._is_elsewhere(partition)):
            # Before the first commit of this folder, so that a death in between repeats it.
            await files.share_all()
        return next_offset

    @asynccontextmanager
    async def counting_lag(self, partition: TopicPartition, counts: PartitionCounts) -> AsyncIterator[None]:
        """Count the records that wait as the lag when the disk fails: more arrive, and nothing fetches them."""
        try:
            yield
        except DiskError:
            await self._count_lag(partition, counts)
            raise

    async def _count_lag(self, partition: TopicPartition, counts: PartitionCounts) -> None:
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_COUNTING_S):
                committed = (await self._committed.answer())[partition].offset
                done = (await self._beginnings.answer())[partition] if committed == NOTHING_COMMITTED else committed
                counts.lag_rows = max(0, (await self._ends.answer())[partition] - done)

    async def _is_elsewhere(self, partition: TopicPartition) -> bool:
        """Whether this folder is another one than that of the latest commit: then its shares are not in Kafka.

        The folder may have been copied, or filled before another one was.
        """
        point = (await self._committed.answer())[partition]
        return decode_folder(point.metadata) != folder_id(self._root)

    def _origin(self, topic: str) -> Origin:
        identity, schemas = self._pipeline.identity, self._pipeline.topics.schemas
        return Origin(identity.cluster, topic, identity.topics[topic], schemas, identity.topics[schemas])

    async def _find_first(self, partition: TopicPartition) -> int:
        """The first offset of a new ledger. MissingRecordsError unless `nacre begin` accepted that records are gone."""
        first = (await self._beginnings.answer())[partition]
        if first > 0:
            point = (await self._committed.answer())[partition]
            accepted = decode_acceptance(point.metadata)
            if accepted is None or not accepted.holds_for(self._pipeline.identity.topics[partition.topic], first):
                raise MissingRecordsError("sink", partition.topic, partition.partition, first)
            log.warning("beginning with what is left", topic=partition.topic, partition=partition.partition, gone=first)
        return int(first)

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Seek to the ledger's offset and resume the partition. ServiceError if Kafka has no records there."""
        beginning = (await self._beginnings.answer())[partition]
        if offset < beginning:
            raise LostRecordsError(partition.topic, partition.partition, offset, beginning)
        if (end := await find_end(self._consumer, partition, offset)) < offset:
            raise ServiceError(
                f"topic {partition.topic}, partition {partition.partition} ends at offset {end}, and the ledger in "
                f"{self._root} goes on at {offset}: the broker has lost records that it acknowledged. "
                "Set another OUTPUT_DIR, which gets everything that Kafka still has"
            )
        # After the offsets were looked up, before anything is fetched: a topic that was created again has other records
        # at these offsets.
        await self._confirmed.answer()
        self._consumer.seek(partition, offset)
        self._consumer.resume(partition)
        log.info("partition taken up", topic=partition.topic, partition=partition.partition, offset=offset)


async def refuse_another_folder(settings: SinkSettings, assignor: KindAssignor) -> NoReturn:
    """Raise ConfigurationError if other sinks of this pipeline keep filling another folder.

    They get as long as the group may take a dead sink for alive, and a little more.
    """
    clock = asyncio.get_running_loop().time
    since = clock()
    while True:
        await asyncio.sleep(_LOOK_INTERVAL_S)
        if (reason := assignor.standing_by) is None:
            since = clock()
        elif clock() - since > settings.session_timeout_s + _FOLDER_PATIENCE_S:
            raise ConfigurationError(reason.replace("it waits until they are gone", "one pipeline fills one folder"))
