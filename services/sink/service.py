"""sink: categorized → files. Rows are written as they come; a checkpoint makes them safe, and the ledger knows."""

import asyncio
import time
from functools import partial
from typing import NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from common.aiokafka_internals.fetched_batches import runs_of
from common.errors import ConfigurationError, LostRecordsError, MissingRecordsError, ServiceError
from common.kafka.assignors import KindAssignor
from common.kafka.clients import new_consumer, open_admin
from common.kafka.offsets import committed_offsets
from common.kafka.predecessor import Slot, remove_predecessor
from common.kafka.reading import find_end
from common.pipeline.authorization import open_allowed_pipeline
from common.pipeline.completion import stages, wait_until_done
from common.pipeline.start import Pipeline
from common.pipeline.topic_watch import confirm_topics, watch_topics
from common.pipeline.topics import Groups, check_partition
from common.protocol.acceptance import decode_acceptance
from common.sessions.at_work import all_arrived
from common.sessions.partition_tasks import fetch, run_partition_tasks
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions, unless_stopped
from services.sink.checkpoint import should_checkpoint
from services.sink.disk.folder import HIDDEN, check_pipeline, decode_folder, encode_folder, folder_id
from services.sink.disk.lock import Lock
from services.sink.disk.output_root import check_root, make_root
from services.sink.ledger.origin import Origin
from services.sink.partition_files import Shelf
from services.sink.rolling.limits import NOTHING_FINISHED
from services.sink.settings import SinkSettings

log = structlog.get_logger()

_FETCH_TIMEOUT_MS = 200
_LOOK_INTERVAL_S = 0.2
_FOLDER_PATIENCE_S = 2.0


class Sink:
    """The partitions of `categorized`, and of `rejected`, that this replica has."""

    def __init__(
        self,
        settings: SinkSettings,
        pipeline: Pipeline,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        folder: str,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._topics = pipeline.topics
        self._identity = pipeline.identity
        self._admin = admin
        self._group = Groups.under(settings.topic_prefix).sink
        self._consumer = consumer
        self._registry = pipeline.registry
        self.taken_up: set[TopicPartition] = set()
        # Whether there was anything to write.
        self.has_worked = False
        # Set once nothing more is to come; the partitions whose files are finished then.
        self._all_is_done = asyncio.Event()
        self._at_rest: set[TopicPartition] = set()

    async def run(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """The loop: fetch, write to the files, and checkpoint while the next rows are fetched and written."""
        check_partition(partition.topic, partition.partition, self._settings)
        root = self._settings.output_dir
        name = f"{HIDDEN}/{partition.topic}-{partition.partition}"
        make_root(root)
        lock = Lock(root, f"{name}.lock")
        try:
            if not await lock.take(stop):
                return
            # Only now: while another holds the lock, ledger and files are still moving.
            # The rejected rows are one file, which stays open.
            is_rejected = partition.topic == self._topics.rejected
            rolling = NOTHING_FINISHED if is_rejected else self._settings.rolling
            shelf = Shelf(root, f"{name}.ledger", self._registry, rolling)
            try:
                await self._fill(partition, shelf, lock, stop)
            finally:
                shelf.close()
        finally:
            lock.release()

    async def _fill(self, partition: TopicPartition, shelf: Shelf, lock: Lock, stop: asyncio.Event) -> None:
        self._at_rest.discard(partition)
        next_offset = await self._open(partition, shelf, lock, stop)
        position = await unless_stopped(stop, self._seek(partition, next_offset))
        # After what was asked, before anything is fetched: a topic created again has other records at these offsets.
        await unless_stopped(stop, confirm_topics(self._admin, self._identity))
        # What Kafka knows may be of an OUTPUT_DIR that is gone.
        told = position if await self._tell(partition, position) else -1
        self.taken_up.add(partition)
        add = shelf.add_rejections if partition.topic == self._topics.rejected else shelf.add
        clock = asyncio.get_running_loop().time
        checkpointed_at = clock()
        is_ended = False
        while not stop.is_set():
            batches = await fetch(self._consumer, partition, stop, _FETCH_TIMEOUT_MS, shelf.under_way)
            self.has_worked = self.has_worked or bool(batches)
            ended = bool(batches) and await add(runs_of(batches))
            position = await self._consumer.position(partition)
            if self._all_is_done.is_set() and not is_ended:
                shelf.end()
                is_ended = True
            await shelf.finish_due()
            if is_ended and shelf.at_rest:
                self._at_rest.add(partition)
            if shelf.busy and not (ended or shelf.full):
                continue
            await shelf.settle()
            interval_ms = self._settings.checkpoint_interval_ms
            dirty, full = shelf.dirty, shelf.full
            if should_checkpoint(clock(), checkpointed_at, interval_ms, dirty=dirty, ended=ended, full=full):
                await shelf.begin_checkpoint(position)
                checkpointed_at = clock()
            elif not dirty and position > told:
                # First the ledger: what changes no file may expire, and must not seem to be lost then.
                await shelf.pass_over(position)
                if await self._tell(partition, position):
                    told = position
        if shelf.dirty:
            await shelf.begin_checkpoint(position)
        await shelf.settle()
        await shelf.pass_over(position)
        await self._tell(partition, position)

    async def _open(self, partition: TopicPartition, shelf: Shelf, lock: Lock, stop: asyncio.Event) -> int:
        """Where the files go on. Raises ServiceError where they cannot."""
        next_offset = await shelf.open(self._origin(partition.topic))
        if next_offset is None:
            if lock.knows_ledger:
                raise ServiceError(
                    f"the ledger of topic {partition.topic}, partition {partition.partition} in "
                    f"{self._settings.output_dir} was removed: its rows would be written again. Bring it back, or set "
                    "another OUTPUT_DIR, which gets everything that Kafka still has"
                )
            next_offset = await unless_stopped(stop, self._find_beginning(partition))
            # Before Kafka's offset is written: what was said of it once must not be said again, nor forgotten.
            await shelf.pass_over(next_offset)
        # Before any row is written: from now on, no ledger is no first start.
        await asyncio.to_thread(lock.note_ledger)
        return next_offset

    def _origin(self, topic: str) -> Origin:
        ids, schemas = self._identity.topics, self._topics.schemas
        return Origin(self._identity.cluster, topic, ids[topic], schemas, ids[schemas])

    async def _find_beginning(self, partition: TopicPartition) -> int:
        """Where a new ledger begins: at 0, or, where records are gone, where that was accepted as the beginning."""
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        if first > 0:
            point = (await committed_offsets(self._admin, self._group, [partition]))[partition]
            accepted = decode_acceptance(point.metadata)
            if accepted is None or not accepted.holds_for(self._identity.topics[partition.topic], first):
                raise MissingRecordsError("sink", partition.topic, partition.partition, first)
            log.warning("beginning with what is left", topic=partition.topic, partition=partition.partition, gone=first)
        return int(first)

    async def _seek(self, partition: TopicPartition, offset: int) -> int:
        """Go to where the ledger says, and return that offset."""
        beginning = (await self._consumer.beginning_offsets([partition]))[partition]
        if offset < beginning:
            raise LostRecordsError(partition.topic, partition.partition, offset, beginning)
        if (end := await find_end(self._consumer, partition, offset)) < offset:
            raise ServiceError(
                f"topic {partition.topic}, partition {partition.partition} ends at offset {end}, and the ledger in "
                f"{self._settings.output_dir} goes on at {offset}: the broker has lost records that it acknowledged. "
                "Set another OUTPUT_DIR, which gets everything that Kafka still has"
            )
        self._consumer.seek(partition, offset)
        self._consumer.resume(partition)
        log.info("partition taken up", topic=partition.topic, partition=partition.partition, offset=offset)
        return offset

    async def finish_files(self, stop: asyncio.Event) -> None:
        """Finish every file that is open, where files are finished at all: nothing more is to come."""
        self._all_is_done.set()
        await all_arrived(self._consumer, self._at_rest, stop)

    async def all_taken_up(self, stop: asyncio.Event) -> None:
        """Wait until what Kafka knows is what the ledgers of this replica's partitions say."""
        await all_arrived(self._consumer, self.taken_up, stop)

    async def _tell(self, partition: TopicPartition, position: int) -> bool:
        """Commit the offset in Kafka, with the folder that it is of. What counts is in the ledger.

        It is advice for tools that show the lag. False when that failed: it is to be tried again, because who waits
        until all is done looks at it as well.
        """
        try:
            await self._consumer.commit({partition: OffsetAndMetadata(position, encode_folder(self._folder))})
        except KafkaError as error:
            log.debug("offset not committed", error=repr(error))
            return False
        return True


async def serve(settings: SinkSettings, stop: asyncio.Event) -> None:
    """Write files until `stop`, or, with EXIT_WHEN_DONE, until all sources are done."""
    check_root(settings.output_dir)
    check_pipeline(settings.output_dir, settings.topic_prefix)
    await run_sessions(settings, partial(_session, settings, Slot(settings, "sink"), time.time()), stop)


async def _session(
    settings: SinkSettings, slot: Slot, started_at: float, readiness: Readiness, stop: asyncio.Event
) -> None:
    async with open_admin(settings, stop) as admin:
        pipeline = await unless_stopped(stop, open_allowed_pipeline(admin, settings, "sink"))
        topics = pipeline.topics
        group = Groups.under(settings.topic_prefix).sink
        folder = folder_id(settings.output_dir)
        assignor = KindAssignor(folder, "OUTPUT_DIR", str(settings.output_dir), started_at)
        consumer = new_consumer(settings, slot.client_id, group, assignor=assignor)
        sink = Sink(settings, pipeline, admin, consumer, folder)
        # Of another folder, as one that is filled meanwhile, the offsets say nothing about this one.
        both = stages(settings, is_ours=lambda point: decode_folder(point.metadata) == folder)

        async def done() -> None:
            await sink.all_taken_up(stop)
            await wait_until_done(settings, admin, both, lambda: sink.has_worked)
            await sink.finish_files(stop)

        finite = done if settings.exit_when_done else None
        await unless_stopped(stop, remove_predecessor(admin, group, slot))
        subscribed = [topics.categorized, topics.rejected]
        watches = [
            partial(watch_topics, admin, settings, pipeline.identity),
            partial(_refuse_another_folder, settings, assignor),
        ]
        await run_partition_tasks(
            consumer,
            subscribed,
            sink.run,
            sink.taken_up,
            readiness,
            stop,
            watches,
            finite,
            standing_by=lambda: assignor.standing_by,
        )


async def _refuse_another_folder(settings: SinkSettings, assignor: KindAssignor) -> NoReturn:
    """Raise ConfigurationError once other sinks of this pipeline have long filled another folder.

    For as long as the group may count a dead sink as alive, they are waited for.
    """
    clock = asyncio.get_running_loop().time
    since = clock()
    while True:
        await asyncio.sleep(_LOOK_INTERVAL_S)
        if (reason := assignor.standing_by) is None:
            since = clock()
        elif clock() - since > settings.session_timeout_s + _FOLDER_PATIENCE_S:
            raise ConfigurationError(reason.replace("it waits until they are gone", "one pipeline fills one folder"))
