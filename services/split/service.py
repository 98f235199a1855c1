"""split: rows → categorized. A batch of rows and the offset behind it are committed in one transaction."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from common.authorization import open_allowed_pipeline
from common.clients import new_consumer, open_admin, open_producer, open_reader
from common.completion import stages, wait_until_done
from common.errors import LostRecordsError, ServiceError
from common.lanes import fetch, run_lanes
from common.offsets import NOTHING_COMMITTED, committed_offsets
from common.predecessor import Slot, remove_predecessor
from common.readiness import Readiness
from common.record_batches import parts_of
from common.registry import Registry
from common.session import run_sessions, unless_stopped
from common.stretches import Single, Stretch
from common.topic_reading import holds_records
from common.topic_watch import watch_topics
from common.topics import Groups, Topics
from common.transaction import Offsets, Outbox, Transactions
from common.transaction_markers import Consumed
from services.split.carrying import Carrier
from services.split.resume import decode_receipt, encode_receipt
from services.split.settings import SplitSettings
from services.split.splits import Split, parse_split_by

log = structlog.get_logger()

_OUTBOX_BYTES = 4 * 2**20
_FETCH_TIMEOUT_MS = 200


class Splitter:
    """The partitions of `rows` that this replica has."""

    def __init__(
        self,
        settings: SplitSettings,
        topics: Topics,
        admin: AIOKafkaAdminClient,
        consumer: AIOKafkaConsumer,
        registry: Registry,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._admin = admin
        self._consumer = consumer
        self._registry = registry
        self._splits: Sequence[Split] = parse_split_by(settings.split_by)
        self._group = Groups.under(settings.topic_prefix).split
        self.taken_up: set[TopicPartition] = set()

    async def carry(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """The loop: fetch, route, commit rows and offset together, while the next rows are fetched and routed."""
        transactional_id = f"{self._settings.topic_prefix}split-{partition.topic}-{partition.partition}"
        async with open_producer(self._settings, transactional_id, stop) as producer:
            transactions = Transactions(producer, self._writes_to(), Consumed(self._group, partition))
            await unless_stopped(stop, transactions.take_over())
            # Only now: whatever a predecessor had under way is settled.
            carrier = Carrier(self._topics, self._settings.partitions, self._splits, self._registry)
            committed = await unless_stopped(stop, self._seek(partition, carrier))
            self.taken_up.add(partition)
            outbox = transactions.outbox()
            try:
                while not stop.is_set():
                    sooner = transactions.in_flight if outbox else None
                    batches = await fetch(self._consumer, partition, stop, _FETCH_TIMEOUT_MS, sooner)
                    await self._route(partition, carrier, parts_of(batches), outbox)
                    position = await self._consumer.position(partition)
                    # With nothing to do, what ends a transaction in `rows` is passed too: the lag reads 0.
                    idle = not batches and not outbox and position > committed
                    if (outbox or idle) and (not transactions.busy or self._is_due(outbox)):
                        await transactions.commit(outbox, _offsets(partition, position, carrier))
                        outbox, committed = transactions.outbox(), position
                    elif not outbox:
                        await transactions.settle()
                if outbox:
                    await transactions.commit(outbox, _offsets(partition, position, carrier))
                await transactions.settle()
            finally:
                transactions.give_up()

    async def _seek(self, partition: TopicPartition, carrier: Carrier) -> int:
        """Go to where the committed offset says, and return that offset."""
        point = (await committed_offsets(self._admin, self._group, [partition]))[partition]
        beginning = (await self._consumer.beginning_offsets([partition]))[partition]
        if point.offset == NOTHING_COMMITTED:
            begin_at = committed = beginning
        else:
            committed = point.offset
            carrier.cursor.committed = begin_at = committed
            # An offset set by hand has no receipt; it has to be that of a mark.
            if point.metadata:
                carrier.receipt = decode_receipt(point.metadata, len(self._splits))
                begin_at = min(carrier.receipt.mark_offset, committed)
        if committed < beginning:
            raise LostRecordsError(partition.topic, partition.partition, committed, beginning)
        self._consumer.seek(partition, max(begin_at, beginning))
        self._consumer.resume(partition)
        log.info("partition taken up", partition=partition.partition, offset=committed)
        return int(committed)

    async def check_not_forgotten(self) -> None:
        """Raise ServiceError when rows were carried but no offset is known any more: all would be carried again.

        A broker forgets the offsets of a group without members (after 7 days, unless told otherwise).
        """
        if await self._has_offsets():
            return
        async with open_reader(self._settings, "nacre-split-check") as reader:
            carried = await holds_records(reader, self._partitions_of(self._topics.categorized))
        # Asked once more, and last: another replica's first rows and offsets appear at the same moment.
        if carried and not await self._has_offsets():
            raise ServiceError(
                f"topic {self._topics.categorized} holds rows, but group {self._group} has no offsets: the broker has "
                "forgotten how far `rows` was carried (offsets.retention.minutes). Begin anew with another TOPIC_PREFIX"
            )

    async def _has_offsets(self) -> bool:
        rows = self._partitions_of(self._topics.rows)
        points = await committed_offsets(self._admin, self._group, rows)
        return any(point.offset != NOTHING_COMMITTED for point in points.values())

    def _writes_to(self) -> list[TopicPartition]:
        return [*self._partitions_of(self._topics.categorized), TopicPartition(self._topics.rejected, 0)]

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._settings.partitions)]

    async def _route(
        self, partition: TopicPartition, carrier: Carrier, parts: Iterable[Stretch | Single], outbox: Outbox
    ) -> None:
        try:
            await carrier.carry(parts, outbox)
        except ValueError as error:
            raise ServiceError(f"topic {partition.topic}, partition {partition.partition}: {error}") from error

    def _is_due(self, outbox: Outbox) -> bool:
        return outbox.is_due(time.monotonic(), self._settings.commit_interval_ms, _OUTBOX_BYTES)


def _offsets(partition: TopicPartition, position: int, carrier: Carrier) -> Offsets:
    return {partition: OffsetAndMetadata(position, encode_receipt(carrier.receipt))}


async def serve(settings: SplitSettings, stop: asyncio.Event) -> None:
    """Split rows until `stop`, or, with EXIT_WHEN_DONE, until all sources are done."""
    await run_sessions(settings, partial(_session, settings, Slot(settings, "split")), stop)


async def _session(settings: SplitSettings, slot: Slot, readiness: Readiness, stop: asyncio.Event) -> None:
    async with open_admin(settings, stop) as admin:
        pipeline = await unless_stopped(stop, open_allowed_pipeline(admin, settings, "split"))
        topics = pipeline.topics
        group = Groups.under(settings.topic_prefix).split
        consumer = new_consumer(settings, slot.client_id, group)
        splitter = Splitter(settings, topics, admin, consumer, pipeline.registry)
        await unless_stopped(stop, splitter.check_not_forgotten())
        before_sink = stages(settings, topics)[:1]
        finite = partial(wait_until_done, settings, topics, admin, before_sink) if settings.exit_when_done else None
        await unless_stopped(stop, remove_predecessor(settings, group, slot))
        watch = partial(watch_topics, admin, pipeline.identity)
        await run_lanes(consumer, [topics.rows], splitter.carry, splitter.taken_up, readiness, stop, watch, finite)
