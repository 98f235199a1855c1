"""ingest: files → rows. Rows, and the position at which reading goes on, are committed in one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace

from common.batches.record_runs import key_of
from common.counts import Counts
from common.errors import ServiceError
from common.kafka.clients import new_consumer, open_admin, open_producer
from common.kafka.pace import Pace
from common.kafka.predecessor import Slot, remove_predecessor
from common.kafka.reading import read_all_written
from common.kafka.transaction import Transactions
from common.pipeline.authorization import open_allowed_pipeline
from common.pipeline.completion import Waiting
from common.pipeline.partitions import Partitions
from common.pipeline.topic_watch import confirm_topics, watch_topics
from common.pipeline.topics import Groups, check_partition, describe_expired
from common.protocol.finite_run import shortened
from common.protocol.progress import Progress, Run, decode_progress
from common.sessions.at_work import all_arrived
from common.sessions.partition_tasks import run_partition_tasks
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from common.waiting import Shared, Stopped, pause, unless_stopped
from services.ingest.after_delivery import check_format, check_gone, check_input
from services.ingest.assignor import RoundAssignor
from services.ingest.catalog import Catalog
from services.ingest.context import IngestContext
from services.ingest.files.finding import is_stream
from services.ingest.outcome import Outcome, check_outcome
from services.ingest.partition import PartitionSources
from services.ingest.receipts import Receipts
from services.ingest.scan import Scan
from services.ingest.settings import IngestSettings
from services.ingest.standard_input import ingest_standard_input, new_stream_name

log = structlog.get_logger()

# How often to look at files that have not ended yet: soon after rows have come, then less often. And at the others.
_FIRST_LOOK_INTERVAL_S = 0.0025
_LOOK_INTERVAL_S = 0.02
_IDLE_LOOK_INTERVAL_S = 0.2
_AWAITED = "files have no receipt yet, or are on their way (split and sink are at work, or are not running)"


class Ingest:
    """The sources of this replica: a source belongs to the partition of `progress` that its name hashes to."""

    def __init__(
        self,
        context: IngestContext,
        consumer: AIOKafkaConsumer,
        assignor: RoundAssignor,
        confirm: Callable[[], Awaitable[None]],
    ) -> None:
        self._context = context
        # The partitions of a start come at about the same time.
        self._confirmed = Shared(confirm)
        self._settings = context.settings
        self._consumer = consumer
        self._assignor = assignor
        self._scan = Scan(context.settings, Catalog(context.settings, context.topics))
        self.receipts = Receipts(context.settings, context.topics)
        self._pace = Pace(context.settings.commit_interval_ms / 1000)
        self.opened: set[TopicPartition] = set()
        self.outcome = Outcome()
        self._waiting = Waiting()
        self._beginnings = Shared(partial(consumer.beginning_offsets, Partitions.of(context.settings).progress))

    async def process(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """Read the sources of this partition from their committed positions, once its producer is this task's alone."""
        check_partition(partition.topic, partition.partition, self._settings)
        began_at = time.monotonic()
        # Name the assignment before waiting for anything: another may come meanwhile, which this task is not part of.
        run = Run(partition.partition, self._assignor.round, "reads" if self._settings.once else "follows")
        prefix = self._settings.topic_prefix
        async with open_producer(self._settings, f"{prefix}ingest-{partition.partition}", stop) as producer:
            transactions = Transactions(
                producer, [partition, *self._context.writes_to()], pace=self._pace, counts=self._context.counts
            )
            await unless_stopped(stop, transactions.take_over())
            # Not before a predecessor's last transaction is settled: it may still move the progress.
            known = await unless_stopped(stop, self._read_progress(partition))
            # After reading, before acting on it: a topic that was created again would begin every source again.
            await unless_stopped(stop, self._confirmed.answer())
            sources = PartitionSources(self._context, self._scan, partition, transactions, known)
            try:
                await self._open(sources, partition, run, began_at, stop)
                with self.receipts.passed_to(partition.partition, sources.departures):
                    await self._read(sources, run, stop)
                await sources.commit()
                await transactions.settle()
                self._note(sources.outcome, is_done=not stop.is_set())
            finally:
                transactions.give_up()

    async def _read(self, sources: PartitionSources, run: Run, stop: asyncio.Event) -> None:
        """The loop: each source gives its next rows in turn; they are committed as they come."""
        look_s = _FIRST_LOOK_INTERVAL_S
        while not stop.is_set():
            # What was read still has to be committed when this is stopped.
            with suppress(Stopped):
                await unless_stopped(stop, sources.follow())
            has_moved = await sources.take_turn(stop)
            await sources.departures.step()
            look_s = _FIRST_LOOK_INTERVAL_S if has_moved else min(2 * look_s, _LOOK_INTERVAL_S)
            if not has_moved:
                if self._settings.once and sources.finished and not self._is_awaiting(sources):
                    sources.announce(self._done(run, sources.outcome))
                    return
                await sources.transactions.settle()
                await pause(stop, _IDLE_LOOK_INTERVAL_S if sources.finished else look_s)

    async def _open(
        self, sources: PartitionSources, partition: TopicPartition, run: Run, began_at: float, stop: asyncio.Event
    ) -> None:
        # Announce the run first, so that split and sink know to wait: looking at the input may take long.
        sources.announce(run)
        await sources.commit()
        await unless_stopped(stop, self._scan.refresh(began_at))
        check_gone(self._settings, self._scan.catalog.locations.of)
        sources.departures.resume()
        await unless_stopped(stop, sources.follow())
        await sources.commit()
        # No partition may be read to its end before all are opened: a reader that waits until every source has ended
        # would leave too early.
        self.opened.add(partition)
        await all_arrived(self._consumer, self.opened, stop)

    def _is_awaiting(self, sources: PartitionSources) -> bool:
        """Whether files are still to leave; log which, once that has lasted."""
        if awaited := sources.departures.awaited:
            first = min(awaited)
            self._waiting.on(f"{_AWAITED}: {len(awaited)} of them, the first is {first}")
        return bool(awaited)

    def _note(self, outcome: Outcome, *, is_done: bool) -> None:
        self.outcome.failed |= {**outcome.failed, **self._scan.failed}
        if is_done:
            # When it is stopped, another replica goes on with these sources: their outcome is open.
            self.outcome.sources |= outcome.sources
            self.outcome.rejected_whole |= outcome.rejected_whole
            self.outcome.skipped_whole |= outcome.skipped_whole

    def _done(self, run: Run, outcome: Outcome) -> Run:
        # Folders belong to no partition: the first one reports them.
        failed = {**outcome.failed, **(self._scan.failed if run.partition == 0 else {})}
        why = shortened(next(iter((*failed.values(), *sorted(outcome.skipped_whole))), ""))
        return replace(run, state="done", unread=len(failed), why=why, skipped=len(outcome.skipped_whole))

    async def _read_progress(self, partition: TopicPartition) -> dict[str, Progress]:
        if first := (await self._beginnings.answer())[partition]:
            # Expired since the session began. A source whose record is gone would be read again from its beginning.
            raise ServiceError(describe_expired(partition.topic, partition.partition, first))
        self._consumer.seek(partition, 0)
        self._consumer.resume(partition)
        # An ingest of standard input writes here too. A freeze or a kill may leave its transaction open: what is
        # committed behind that must not be sent again.
        written = read_all_written(self._consumer, partition)
        # Most records are outdated: there is one for each commit since the topic was compacted.
        latest = {key_of(record).decode(): record.value async for record in written}
        # Fetch no more: this task alone writes it from here on.
        self._consumer.pause(partition)
        try:
            records = [decode_progress(value) for value in latest.values()]
        except ValueError as error:
            raise ServiceError(f"topic {partition.topic}: a record is {error}") from None
        return {each.source: self._context.check_progress(each) for each in records if isinstance(each, Progress)}


async def serve(settings: IngestSettings, slot: Slot, counts: Counts, stop: asyncio.Event) -> None:
    """Read INPUT into Kafka until `stop`, or, with ONCE, to its end.

    ServiceError, once everything else is done, if ONCE could not read some source, or rejected every row of one.
    """
    # Report a path that is not there, and files that cannot leave, before connecting to any broker.
    check_input(settings)
    await run_sessions(settings, partial(_session, settings, slot, new_stream_name()), stop, counts)


async def _session(
    settings: IngestSettings, slot: Slot, stream_name: str, readiness: Readiness, stop: asyncio.Event
) -> None:
    async with open_admin(settings, stop) as admin:
        pipeline = await unless_stopped(stop, open_allowed_pipeline(admin, settings, "ingest"))
        topics = pipeline.topics
        check_format(settings, pipeline.identity.format)
        rows_id, version = pipeline.identity.topics[topics.rows], pipeline.identity.format
        context = IngestContext(settings, topics, pipeline.registry, rows_id, version, readiness.counts)
        watch = partial(watch_topics, admin, settings, pipeline.identity)
        if is_stream(settings.input):
            await ingest_standard_input(context, stream_name, readiness, watch, stop)
            return
        group = Groups.under(settings.topic_prefix).ingest
        assignor = RoundAssignor()
        consumer = new_consumer(settings, slot.client_id, group, assignor=assignor)
        ingest = Ingest(context, consumer, assignor, partial(confirm_topics, admin, pipeline.identity))
        await unless_stopped(stop, remove_predecessor(admin, group, slot))
        watches: list[Callable[[], Awaitable[NoReturn]]] = [watch]
        if not settings.action.keeps:
            watches.append(ingest.receipts.read)
        await run_partition_tasks(
            consumer,
            [topics.progress],
            ingest.process,
            ingest.opened,
            readiness,
            stop,
            watches,
            until_returned=settings.once,
        )
    if not stop.is_set():
        check_outcome(ingest.outcome)
