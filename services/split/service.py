"""split: rows → categorized. A batch of rows and the position behind it are committed in one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from common.aiokafka_internals.fetched_batches import whole_runs_of
from common.aiokafka_internals.transaction_markers import Consumed
from common.errors import ServiceError
from common.kafka.assignors import KindAssignor
from common.kafka.clients import new_consumer, open_admin, open_producer
from common.kafka.offsets import committed_offsets
from common.kafka.predecessor import Slot, remove_predecessor
from common.kafka.reading import find_end
from common.kafka.transaction import Offsets, Outbox, Transactions
from common.pipeline.authorization import open_allowed_pipeline
from common.pipeline.completion import stages, wait_until_done
from common.pipeline.partitions import Partitions
from common.pipeline.registry import Registry
from common.pipeline.topic_watch import confirm_topics, watch_topics
from common.pipeline.topics import Groups, Topics, check_partition
from common.protocol.position import Group, Position, digest, encode_position
from common.sessions.partition_tasks import fetch, run_partition_tasks
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions, unless_stopped
from services.split.categories.splits import Split, kind_of_splits, parse_split_by
from services.split.categorizing import Carrier
from services.split.filling import Filling
from services.split.positions import Positions
from services.split.rejected_whole import check_rejected
from services.split.settings import SplitSettings

log = structlog.get_logger()

_OUTBOX_BYTES = 4 * 2**20
_FETCH_TIMEOUT_MS = 200


class Lane:
    """One partition's work: the main carrier, which stands at `position`, and the splits that are filled beside it."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        beginning: int,
        begun: Position,
        carrier: Carrier,
        filling: Filling,
    ) -> None:
        self._consumer = consumer
        self._partition = partition
        self._beginning = beginning
        self._begun = begun
        self._carrier = carrier
        self.filling = filling
        self.position = begun.main.offset

    @property
    def places(self) -> tuple[int, tuple[Group, ...]]:
        """How far everything is carried."""
        return self.position, self.filling.groups

    @property
    def offsets(self) -> Offsets:
        """The position to commit with what is carried."""
        main = Group(self.position, self._carrier.cursor.mark_offset, self._carrier.held)
        position = replace(self._begun, main=main, filling=self.filling.groups, rows=self._carrier.rows)
        return {self._partition: OffsetAndMetadata(self.position, encode_position(position))}

    async def begin(self) -> None:
        """Begin to read."""
        await self.filling.open()
        # The mark may be gone while the batch that it heads is not: then that batch comes as a whole.
        self._consumer.seek(self._partition, max(self._carrier.cursor.read_from, self._beginning))
        self._consumer.resume(self._partition)

    async def carry(self, outbox: Outbox, stop: asyncio.Event, sooner: "asyncio.Future[None] | None") -> bool:
        """Fetch and route the next rows; return whether there were any. What is filled has its share in each turn."""
        try:
            # Not waited for while there is something to fill.
            patience_ms = 0 if self.filling else _FETCH_TIMEOUT_MS
            batches = await fetch(self._consumer, self._partition, stop, patience_ms, sooner)
            await self._carrier.carry(whole_runs_of(batches), outbox)
            # Reading begins at a mark, which may stand before what is carried.
            self.position = max(self.position, await self._consumer.position(self._partition))
            if not self.filling:
                return bool(batches)
            patience_ms = 0 if batches else _FETCH_TIMEOUT_MS
            moved = await self.filling.carry(self.position, outbox, stop, patience_ms, sooner)
            await self._join()
        except ValueError as error:
            partition = self._partition
            raise ServiceError(f"topic {partition.topic}, partition {partition.partition}: {error}") from error
        return moved or bool(batches)

    async def _join(self) -> None:
        arrived = await self.filling.take_arrived(self.position)
        for split, held in arrived:
            self._carrier.add(split, held)
        if arrived:
            names = [split.name for split, _ in arrived]
            log.info("filled: the splits go on with the others", partition=self._partition.partition, splits=names)


class Splitter:
    """The partitions of `rows` that this replica has."""

    def __init__(
        self,
        settings: SplitSettings,
        topics: Topics,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        registry: Registry,
        positions: Positions,
        splits: Sequence[Split],
        confirm: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._confirm = confirm
        self._topics = topics
        self._admin = admin
        self._consumer = consumer
        self._registry = registry
        self._positions = positions
        self._splits = splits
        self._group = Groups.under(settings.topic_prefix).split
        self.taken_up: set[TopicPartition] = set()
        self.has_worked = False

    async def run(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """The loop: fetch, route, commit rows and position together, while the next rows are fetched and routed."""
        check_partition(partition.topic, partition.partition, self._settings)
        transactional_id = f"{self._settings.topic_prefix}split-{partition.topic}-{partition.partition}"
        async with open_producer(self._settings, transactional_id, stop) as producer:
            consumed = Consumed(self._group, partition)
            transactions = Transactions(producer, Partitions.of(self._settings).categorized_and_rejected, consumed)
            await unless_stopped(stop, transactions.take_over())
            # Only now: whatever a predecessor had under way is settled.
            lane, is_new = await unless_stopped(stop, self._take_up(partition))
            try:
                await unless_stopped(stop, lane.begin())
                self.taken_up.add(partition)
                if is_new:
                    # At once: what waits until all is done sees from now on that there is something to fill.
                    await transactions.commit(transactions.outbox(), lane.offsets)
                    await transactions.settle()
                await self._positions.wait_for_all(stop)
                await self._work(lane, transactions, stop)
            finally:
                transactions.give_up()
                await lane.filling.close()

    async def _work(self, lane: Lane, transactions: Transactions, stop: asyncio.Event) -> None:
        outbox, committed = transactions.outbox(), lane.places
        while not stop.is_set():
            moved = await lane.carry(outbox, stop, transactions.in_flight if outbox else None)
            # With nothing to do, what ends a transaction in `rows` is passed too: the lag reads 0.
            self.has_worked |= bool(outbox)
            idle = not moved and not outbox and lane.places != committed
            if (outbox or idle) and (not transactions.busy or self._is_due(outbox)):
                await transactions.commit(outbox, lane.offsets)
                outbox, committed = transactions.outbox(), lane.places
            elif not outbox:
                await transactions.settle()
        if outbox:
            await transactions.commit(outbox, lane.offsets)
        await transactions.settle()

    async def _take_up(self, partition: TopicPartition) -> tuple[Lane, bool]:
        """Plan where to go on, and whether that is something else than what is committed."""
        point = (await committed_offsets(self._admin, self._group, [partition]))[partition]
        beginning = (await self._consumer.beginning_offsets([partition]))[partition]
        planned = await self._positions.plan(partition, point, beginning)
        begun = planned.position
        await self._check_end(partition, begun.main.offset)
        # After what was read, before anything follows from it: of a topic created again nothing is committed.
        await self._confirm()
        self._positions.check_kept({partition: point})
        await self._positions.tell(planned)
        log.info("partition taken up", partition=partition.partition, offset=begun.main.offset)
        filling = Filling(self._settings, self._topics, self._registry, self._splits, partition, begun.filling)
        lane = Lane(self._consumer, partition, beginning, begun, self._carrier(begun), filling)
        return lane, encode_position(begun) != point.metadata

    async def _check_end(self, partition: TopicPartition, offset: int) -> None:
        """Raise ServiceError when the partition ends before the offset: it has lost what was carried from it."""
        if (end := await find_end(self._consumer, partition, offset)) < offset:
            raise ServiceError(
                f"topic {partition.topic}, partition {partition.partition} ends at offset {end}, and split goes on at "
                f"{offset}: the broker has lost records that it acknowledged. Begin again with another TOPIC_PREFIX "
                "and another OUTPUT_DIR"
            )

    def _carrier(self, begun: Position) -> Carrier:
        names = {held.name for held in begun.main.splits}
        splits = [split for split in self._splits if digest(split.name) in names]
        others = [split.name for split in self._splits if digest(split.name) not in names]
        carrier = Carrier(self._topics, self._settings.partitions, splits, self._registry, others)
        carrier.begin_at(begun.main)
        carrier.rows = begun.rows
        return carrier

    def _is_due(self, outbox: Outbox) -> bool:
        return outbox.is_due(time.monotonic(), self._settings.commit_interval_ms, _OUTBOX_BYTES)


async def serve(settings: SplitSettings, stop: asyncio.Event) -> None:
    """Split rows until `stop`, or, with EXIT_WHEN_DONE, until all sources are done."""
    await run_sessions(settings, partial(_session, settings, Slot(settings, "split"), time.time()), stop)


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
        splitter = Splitter(settings, topics, admin, consumer, pipeline.registry, positions, splits, confirm)
        await unless_stopped(stop, positions.check())
        before_sink = stages(settings, positions.are_filled)[:1]

        async def done() -> None:
            await wait_until_done(settings, admin, before_sink, lambda: splitter.has_worked)
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
