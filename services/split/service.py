"""split: rows → categorized. Rows and the position behind them are committed in one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from common.aiokafka_internals.transaction_markers import Consumed
from common.counts import Counts
from common.errors import ServiceError
from common.kafka.assignors import KindAssignor
from common.kafka.clients import new_consumer, open_admin, open_producer
from common.kafka.offsets import committed_offsets
from common.kafka.pace import Pace
from common.kafka.predecessor import Slot, remove_predecessor
from common.kafka.reading import find_end
from common.kafka.transaction import Transactions
from common.pipeline.authorization import open_allowed_pipeline
from common.pipeline.completion import stages, wait_until_done
from common.pipeline.partitions import Partitions
from common.pipeline.start import Pipeline
from common.pipeline.topic_watch import confirm_topics, watch_topics
from common.pipeline.topics import Groups, check_partition
from common.protocol.position import Position, digest, encode_position
from common.sessions.partition_tasks import run_partition_tasks
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from common.waiting import Shared, unless_stopped
from services.split.categories.splits import Split, kind_of_splits, parse_split_by
from services.split.categorizing import Categorizer
from services.split.filling import Filling
from services.split.partition import RowsPartition
from services.split.positions import Positions
from services.split.rejected_whole import check_rejected
from services.split.settings import SplitSettings

log = structlog.get_logger()


class Splitter:
    """The partitions of `rows` that this replica has."""

    def __init__(
        self,
        settings: SplitSettings,
        pipeline: Pipeline,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        positions: Positions,
        splits: Sequence[Split],
        confirm: Callable[[], Awaitable[None]],
        counts: Counts,
    ) -> None:
        self._settings = settings
        self._counts = counts
        # The partitions of a start come at about the same time.
        self._confirmed = Shared(confirm)
        self._topics = pipeline.topics
        self._consumer = consumer
        self._registry = pipeline.registry
        self._formats = pipeline.identity.formats
        self._positions = positions
        self._splits = splits
        self._group = Groups.under(settings.topic_prefix).split
        rows = Partitions.of(settings).rows
        self._committed = Shared(partial(committed_offsets, admin, self._group, rows))
        self._beginnings = Shared(partial(consumer.beginning_offsets, rows))
        self._pace = Pace(settings.commit_interval_ms / 1000)
        self.taken_up: set[TopicPartition] = set()
        self.has_worked = False

    async def run(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """The loop: fetch, route, commit rows and position together, while the next rows are fetched and routed."""
        check_partition(partition.topic, partition.partition, self._settings)
        transactional_id = f"{self._settings.topic_prefix}split-{partition.topic}-{partition.partition}"
        async with open_producer(self._settings, transactional_id, stop) as producer:
            consumed = Consumed(self._group, partition)
            written = Partitions.of(self._settings).categorized_and_rejected
            transactions = Transactions(producer, written, consumed, self._pace, self._counts)
            await unless_stopped(stop, transactions.take_over())
            # Not before the predecessor's last transaction is settled: it decides where to go on.
            reading, is_new = await unless_stopped(stop, self._take_up(partition))
            try:
                await unless_stopped(stop, reading.begin())
                self.taken_up.add(partition)
                if is_new:
                    # Commit at once, so that `done` sees that there is something to fill.
                    await transactions.commit(transactions.outbox(), reading.offsets)
                    await transactions.settle()
                await self._positions.wait_for_all(stop)
                await self._process(reading, transactions, stop)
            finally:
                transactions.give_up()
                await reading.filling.close()

    async def _process(self, reading: RowsPartition, transactions: Transactions, stop: asyncio.Event) -> None:
        outbox, committed = transactions.outbox(), reading.progress
        while not stop.is_set():
            if not transactions.busy:
                await transactions.settle()
            sooner = transactions.in_flight if outbox else None
            has_moved = await reading.process(outbox, stop, transactions.left_s(outbox), sooner)
            self.has_worked |= bool(outbox)
            # When idle, commit the transaction markers that were passed in `rows` as well: the lag reads 0.
            idle = not has_moved and not outbox and reading.progress != committed
            if transactions.left_s(outbox) <= 0 or (idle and not transactions.busy):
                await transactions.commit(outbox, reading.offsets)
                outbox, committed = transactions.outbox(), reading.progress
            elif not outbox:
                await transactions.settle()
        if outbox:
            await transactions.commit(outbox, reading.offsets)
        await transactions.settle()

    async def _take_up(self, partition: TopicPartition) -> tuple[RowsPartition, bool]:
        """Plan where to go on; return whether that differs from what is committed."""
        point = (await self._committed.answer())[partition]
        beginning = (await self._beginnings.answer())[partition]
        planned = await self._positions.plan(partition, point, beginning)
        begun = planned.position
        await self._check_end(partition, begun.main.offset)
        # After the reads above, before acting on them: nothing is committed for a topic that was created again.
        await self._confirmed.answer()
        self._positions.check_kept({partition: point})
        await self._positions.log_changes(planned)
        log.info("partition taken up", partition=partition.partition, offset=begun.main.offset)
        filling = Filling(
            self._settings, self._topics, self._registry, self._splits, partition, begun.filling, self._formats
        )
        counts = self._counts.of(partition)
        reading = RowsPartition(self._consumer, partition, beginning, begun, self._categorizer(begun), filling, counts)
        return reading, encode_position(begun) != point.metadata

    async def _check_end(self, partition: TopicPartition, offset: int) -> None:
        """Raise ServiceError when the partition ends before the offset: it has lost records that were processed."""
        if (end := await find_end(self._consumer, partition, offset)) < offset:
            raise ServiceError(
                f"topic {partition.topic}, partition {partition.partition} ends at offset {end}, but split has "
                f"processed up to {offset}: the broker has lost records that it acknowledged. Begin again with another "
                "TOPIC_PREFIX and another OUTPUT_DIR"
            )

    def _categorizer(self, begun: Position) -> Categorizer:
        names = {held.name for held in begun.main.splits}
        splits = [split for split in self._splits if digest(split.name) in names]
        others = [split.name for split in self._splits if digest(split.name) not in names]
        partitions, formats = self._settings.partitions, self._formats
        categorizer = Categorizer(self._topics, partitions, splits, self._registry, others, formats=formats)
        categorizer.begin_at(begun.main)
        categorizer.rows = begun.rows
        return categorizer


async def serve(settings: SplitSettings, slot: Slot, counts: Counts, stop: asyncio.Event) -> None:
    """Split rows until `stop`, or, with EXIT_WHEN_DONE, until all sources are done."""
    await run_sessions(settings, partial(_session, settings, slot, time.time()), stop, counts)


async def _session(
    settings: SplitSettings, slot: Slot, started_at: float, readiness: Readiness, stop: asyncio.Event
) -> None:
    async with open_admin(settings, stop) as admin:
        pipeline = await unless_stopped(stop, open_allowed_pipeline(admin, settings, "split"))
        topics = pipeline.topics
        group = Groups.under(settings.topic_prefix).split
        split_by, splits = settings.split_by, parse_split_by(settings.split_by)
        assignor = KindAssignor(kind_of_splits(split_by), "SPLIT_BY", split_by, started_at)
        consumer = new_consumer(settings, slot.client_id, group, assignor=assignor)
        positions = Positions(settings, topics, admin, splits, pipeline.ids, pipeline.registry)
        confirm = partial(confirm_topics, admin, pipeline.identity)
        splitter = Splitter(settings, pipeline, admin, consumer, positions, splits, confirm, readiness.counts)
        await unless_stopped(stop, positions.check())
        before_sink = stages(settings, positions.are_filled)[:1]

        def has_worked() -> bool:
            # A former session of this process may have done all of it.
            return splitter.has_worked or bool(readiness.counts.rows.received)

        async def done() -> None:
            await wait_until_done(settings, admin, before_sink, has_worked)
            await check_rejected(settings, admin, splits, settings.tolerance)

        await unless_stopped(stop, remove_predecessor(admin, group, slot))
        await run_partition_tasks(
            consumer,
            [topics.rows],
            splitter.run,
            splitter.taken_up,
            readiness,
            stop,
            [partial(watch_topics, admin, settings, pipeline.identity)],
            done if settings.exit_when_done else None,
            standing_by=lambda: assignor.standing_by,
        )
