"""sink: categorized → files. Rows are written as they come; a checkpoint makes them durable and updates the ledger."""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from common.counts import Counts
from common.kafka.assignors import KindAssignor
from common.kafka.clients import LARGE_FETCH_BYTES, new_consumer, open_admin
from common.kafka.offsets import update_lag
from common.kafka.partition_names import naming
from common.kafka.predecessor import Slot, remove_predecessor
from common.pipeline.authorization import open_allowed_pipeline
from common.pipeline.completion import stages, wait_until_done
from common.pipeline.start import Pipeline
from common.pipeline.topic_watch import watch_topics
from common.pipeline.topics import Groups, check_partition
from common.protocol.output_folder import lock_path
from common.sessions.at_work import all_arrived
from common.sessions.partition_tasks import fetch, run_partition_tasks
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from common.waiting import unless_stopped, wait_for_all
from services.sink.beginning import StartingOffsets, files_of, refuse_another_folder
from services.sink.delivery import Delivery, open_delivery
from services.sink.disk.folder import check_folder, check_pipeline, decode_folder, encode_folder, folder_id
from services.sink.disk.lock import Lock
from services.sink.disk.output_root import check_root, make_root
from services.sink.folder_proofs.keeping import FolderProofs
from services.sink.folder_proofs.success import processed_of
from services.sink.grouping import marked
from services.sink.next_step import Situation, Step, next_step
from services.sink.partition_files import PartitionFiles
from services.sink.settings import SinkSettings

log = structlog.get_logger()

_FETCH_TIMEOUT_MS = 200


class Sink:
    """The partitions of `categorized` and `rejected` that this replica owns."""

    def __init__(
        self,
        settings: SinkSettings,
        pipeline: Pipeline,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        folder: str,
        delivery: Delivery,
        proofs: FolderProofs,
        counts: Counts,
    ) -> None:
        self._settings = settings
        self._counts = counts
        self._proofs = proofs
        self._folder = folder
        self._delivery = delivery
        self._pipeline = pipeline
        self._consumer = consumer
        self._starting_offsets = StartingOffsets(settings, pipeline, admin, consumer)
        self.taken_up: set[TopicPartition] = set()
        self.has_worked = False
        # Done once no more rows will come; then `_at_rest` gets the partitions whose files are finished.
        self._all_is_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._at_rest: set[TopicPartition] = set()

    async def _fill(self, partition: TopicPartition, files: PartitionFiles, position: int, stop: asyncio.Event) -> None:
        """Fetch and append to the files until `stop`, and make checkpoints while the next rows come."""
        # What a predecessor has made durable and not shared. Before the offset, as ever.
        await self._delivery.share(partition, files)
        # Commit at once: the offset that Kafka has may be of an OUTPUT_DIR that is gone.
        committed = position if await self._commit(partition, position) else -1
        self.taken_up.add(partition)
        # An earlier session may have left a time here: the rows that it had not made safe come again.
        counts = self._counts.of(partition)
        counts.unsafe_since_ms = 0
        clock = asyncio.get_running_loop().time
        checkpointed_at, begun = clock(), position
        while not stop.is_set():
            sooner = files.checkpoint.under_way or (None if self._all_is_done.done() else self._all_is_done)
            batches = await fetch(self._consumer, partition, stop, _FETCH_TIMEOUT_MS, sooner)
            self.has_worked = self.has_worked or bool(batches)
            with naming(partition):
                ended = bool(batches) and await files.add(marked(batches))
            position = await self._consumer.position(partition)
            update_lag(counts, self._consumer, partition, position)
            await self._finish(partition, files)
            situation = Situation(
                ended, files.checkpoint.busy, files.dirty, files.full, checkpointed_at, position, committed
            )
            step = next_step(situation, clock(), self._settings.checkpoint_interval_ms)
            if step is Step.FETCH:
                continue
            await self._settle(partition, files)
            if step is Step.PASS_OVER:
                committed = position if await self._pass_over(partition, files, position) else committed
                continue
            done = begun
            if step is Step.CHECKPOINT:
                await files.begin_checkpoint(position)
                checkpointed_at, begun = clock(), position
            # Under load something is always written meanwhile, and no offset is passed over: the lag would only grow.
            if done > committed and await self._commit(partition, done):
                committed = done
        if files.dirty:
            await files.begin_checkpoint(position)
        await self._settle(partition, files)
        if position != committed:
            await self._pass_over(partition, files, position)
        await files.rest()

    async def _settle(self, partition: TopicPartition, files: PartitionFiles) -> None:
        """Wait for the checkpoint under way, and share what it made safe.

        Before the offset is committed in Kafka: where all offsets are at the ends, all shares are issued.
        """
        await files.settle()
        await self._delivery.share(partition, files)

    async def _finish(self, partition: TopicPartition, files: PartitionFiles) -> None:
        """Finish the files that are due, and all of them once no more rows will come."""
        if is_all := self._all_is_done.done():
            files.end()
        await files.finish_due()
        if is_all and files.at_rest:
            await files.seal.seal()
            self._at_rest.add(partition)

    async def _pass_over(self, partition: TopicPartition, files: PartitionFiles, position: int) -> bool:
        """Commit an offset before which every row is durable, to the ledger and to Kafka; False if Kafka refused it."""
        # The ledger first: once records that change no file expire, they must not seem to be lost.
        await files.pass_over(position)
        return await self._commit(partition, position)

    async def _commit(self, partition: TopicPartition, position: int) -> bool:
        """Commit the offset in Kafka, with its folder's id; False if that failed and is to be tried again.

        The ledger's offset counts. Kafka's is for tools that show the lag, and for the wait until all is done.
        """
        try:
            await self._consumer.commit({partition: OffsetAndMetadata(position, encode_folder(self._folder))})
        except KafkaError as error:
            log.debug("offset not committed", error=repr(error))
            return False
        return True

    async def run(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """Hold the partition's lock, recover its files, and fill them until `stop`."""
        check_partition(partition.topic, partition.partition, self._settings)
        async with self._starting_offsets.counting_lag(partition, self._counts.of(partition)):
            root = self._settings.output_dir
            make_root(root)
            lock = Lock(root, lock_path(partition.topic, partition.partition))
            try:
                if await lock.take(stop):
                    await self._fill_under(lock, partition, stop)
            finally:
                lock.release()

    async def _fill_under(self, lock: Lock, partition: TopicPartition, stop: asyncio.Event) -> None:
        # Not before the lock is held: ledger and files change as long as another sink holds it.
        files = await files_of(self._settings, self._pipeline, partition, self._counts)
        try:
            # Once the ledger is open: shares of one folder must not vouch for rows in the ledger of another.
            check_folder(self._settings.output_dir, self._folder)
            self._at_rest.discard(partition)
            position = await self._starting_offsets.open(partition, files, lock, stop)
            await files.seal.take_up(is_finite=self._settings.exit_when_done)
            await unless_stopped(stop, self._starting_offsets.seek(partition, position))
            filling = self._fill(partition, files, position, stop)
            await wait_for_all(
                filling, self._delivery.issue(partition, files, stop), self._proofs.keep(partition, stop)
            )
        finally:
            files.close()

    async def finish_files(self, stop: asyncio.Event) -> None:
        """Finish every open file, if files are finished at all, because no more rows will come; wait for it."""
        self._all_is_done.set_result(None)
        await all_arrived(self._consumer, self._at_rest, stop)

    async def all_taken_up(self, stop: asyncio.Event) -> None:
        """Wait until Kafka has the offsets in the ledgers of this replica's partitions."""
        await all_arrived(self._consumer, self.taken_up, stop)


async def serve(settings: SinkSettings, slot: Slot, counts: Counts, stop: asyncio.Event) -> None:
    """Write files until `stop`, or, with EXIT_WHEN_DONE, until all sources are done."""
    check_root(settings.output_dir)
    check_pipeline(settings.output_dir, settings.topic_prefix)
    await run_sessions(settings, partial(_session, settings, slot, time.time()), stop, counts)


async def _session(
    settings: SinkSettings, slot: Slot, started_at: float, readiness: Readiness, stop: asyncio.Event
) -> None:
    async with AsyncExitStack() as opened:
        admin = await opened.enter_async_context(open_admin(settings, stop))
        pipeline = await unless_stopped(stop, open_allowed_pipeline(admin, settings, "sink"))
        group = Groups.under(settings.topic_prefix).sink
        folder = folder_id(settings.output_dir)
        delivery = await opened.enter_async_context(open_delivery(settings, pipeline, folder, admin))
        assignor = KindAssignor(folder, "OUTPUT_DIR", str(settings.output_dir), started_at)
        consumer = new_consumer(settings, slot.client_id, group, assignor=assignor, fetch_bytes=LARGE_FETCH_BYTES)
        proofs = FolderProofs(settings, pipeline, folder, partial(delivery.find_undelivered, consumer))
        await proofs.begin()
        sink = Sink(settings, pipeline, admin, consumer, folder, delivery, proofs, readiness.counts)
        # Offsets of another folder, perhaps of one that is filled meanwhile, say nothing about this one.
        both = stages(settings, is_ours=lambda point: decode_folder(point.metadata) == folder)

        def has_worked() -> bool:
            # A former session of this process may have done all of it.
            return sink.has_worked or bool(readiness.counts.rows.received)

        async def done() -> None:
            await sink.all_taken_up(stop)
            watch = await wait_until_done(settings, admin, both, has_worked)
            proofs.conclude(processed_of(watch.sources, watch.runs, time.time_ns()))
            await sink.finish_files(stop)
            await delivery.all_issued(consumer, stop)
            await proofs.concluded(consumer, stop)
            await delivery.all_posted(consumer, stop)

        await unless_stopped(stop, remove_predecessor(admin, group, slot))
        watch = partial(watch_topics, admin, settings, pipeline.identity)
        await run_partition_tasks(
            consumer,
            [pipeline.topics.categorized, pipeline.topics.rejected],
            sink.run,
            sink.taken_up,
            readiness,
            stop,
            [watch, partial(refuse_another_folder, settings, assignor)],
            done if settings.exit_when_done else None,
            standing_by=lambda: assignor.standing_by,
        )
