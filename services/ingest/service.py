"""ingest: files → rows. Rows, and the location where reading goes on, are committed in one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.errors import AllRejectedError, ConfigurationError, ServiceError, SourceError
from common.kafka.clients import new_consumer, open_admin, open_producer
from common.kafka.predecessor import Slot, remove_predecessor
from common.kafka.reading import read_to_end
from common.kafka.transaction import Transactions
from common.pipeline.authorization import open_allowed_pipeline
from common.pipeline.topic_watch import confirm_topics, watch_topics
from common.pipeline.topics import Groups, check_partition, describe_expired
from common.protocol.finite_run import shortened
from common.protocol.progress import Progress, Run, decode_progress
from common.sessions.at_work import all_arrived
from common.sessions.partition_tasks import run_lanes
from common.sessions.readiness import Readiness
from common.sessions.session import Stopped, pause, run_sessions, unless_stopped
from services.ingest.assignor import RoundAssignor
from services.ingest.context import IngestContext
from services.ingest.files.finding import find_files, is_stream
from services.ingest.partition import PartitionSources
from services.ingest.scan import Scan
from services.ingest.settings import IngestSettings
from services.ingest.standard_input import carry_standard_input

log = structlog.get_logger()

# How often files are looked at that have not settled yet, and how often the others.
_LOOK_INTERVAL_S = 0.02
_IDLE_LOOK_INTERVAL_S = 0.2
_MOST_TOLD = 10


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
        self._confirm = confirm
        self._settings = context.settings
        self._consumer = consumer
        self._assignor = assignor
        self._scan = Scan(context.settings, context.topics)
        self.opened: set[TopicPartition] = set()
        self.failed: dict[str, str] = {}
        self.rejected_whole: set[str] = set()
        self.skipped_whole: set[str] = set()
        self.sources: set[str] = set()

    async def carry(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """The loop: each source of this partition gives its next rows in turn; they are committed as they come."""
        check_partition(partition.topic, partition.partition, self._settings)
        began_at = time.monotonic()
        # Before anything is waited for: another assignment may come meanwhile, and this lane is not of that one.
        run = Run(partition.partition, self._assignor.round, "reads" if self._settings.once else "follows")
        prefix = self._settings.topic_prefix
        async with open_producer(self._settings, f"{prefix}ingest-{partition.partition}", stop) as producer:
            transactions = Transactions(producer, [partition, *self._context.writes_to()])
            await unless_stopped(stop, transactions.take_over())
            # Only now: whatever a predecessor had under way is settled.
            known = await unless_stopped(stop, self._read_progress(partition))
            # After what was read, before anything follows from it: a topic created again would begin every source anew.
            await unless_stopped(stop, self._confirm())
            lane = PartitionSources(self._context, self._scan, partition, transactions, known)
            try:
                # Before the input is looked at, which may take long: who waits for the end knows that there is a run.
                lane.say(run)
                await lane.commit()
                await unless_stopped(stop, self._scan.refresh(began_at))
                await unless_stopped(stop, lane.follow())
                await lane.commit()
                # Before all are opened none may be read to its end: who waits until every started source has ended
                # would leave too early.
                self.opened.add(partition)
                await all_arrived(self._consumer, self.opened, stop)
                while not stop.is_set():
                    # Stopped here as well, what was read has still to be committed.
                    with suppress(Stopped):
                        await unless_stopped(stop, lane.follow())
                    if not await lane.take_turn(stop):
                        if self._settings.once and lane.finished:
                            lane.say(self._done(run, lane))
                            break
                        await transactions.settle()
                        await pause(stop, _IDLE_LOOK_INTERVAL_S if lane.finished else _LOOK_INTERVAL_S)
                await lane.commit()
                await transactions.settle()
                self.failed |= {**lane.failed, **self._scan.failed}
                if not stop.is_set():
                    # Of what another replica goes on with nothing can be said yet.
                    self._note(lane)
            finally:
                transactions.give_up()

    def _note(self, lane: PartitionSources) -> None:
        self.sources |= lane.sources
        self.rejected_whole |= lane.rejected_whole
        self.skipped_whole |= lane.skipped_whole

    def _done(self, run: Run, lane: PartitionSources) -> Run:
        # A folder is no partition's: the first one tells of those.
        failed = {**lane.failed, **(self._scan.failed if run.partition == 0 else {})}
        why = shortened(next(iter(failed.values()), ""))
        return replace(run, state="done", unread=len(failed), why=why)

    async def _read_progress(self, partition: TopicPartition) -> dict[str, Progress]:
        if first := (await self._consumer.beginning_offsets([partition]))[partition]:
            # Since the session began. A source whose record is gone would be read again from its beginning.
            raise ServiceError(describe_expired(partition.topic, partition.partition, first))
        self._consumer.seek(partition, 0)
        self._consumer.resume(partition)
        # Most are outdated: there is one for each commit since the topic was compacted.
        latest = {record.key.decode(): record.value async for record in read_to_end(self._consumer, partition)}
        # This lane is the one that writes it from now on.
        self._consumer.pause(partition)
        try:
            told = [decode_progress(value) for value in latest.values()]
        except ValueError as error:
            raise ServiceError(f"topic {partition.topic}: a record is {error}") from None
        return {each.source: self._context.check_progress(each) for each in told if isinstance(each, Progress)}


async def serve(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Carry what INPUT names into Kafka until `stop`, or, with ONCE, to its end.

    Raises ServiceError, when all else is done, where ONCE could not read some source, or rejected every row of one.
    """
    if not is_stream(settings.input):
        # A name that is not there at all is said before any broker is asked.
        find_files(settings.input)
    await run_sessions(settings, partial(_session, settings, Slot(settings, "ingest")), stop)


async def _session(settings: IngestSettings, slot: Slot, readiness: Readiness, stop: asyncio.Event) -> None:
    async with open_admin(settings, stop) as admin:
        pipeline = await unless_stopped(stop, open_allowed_pipeline(admin, settings, "ingest"))
        topics = pipeline.topics
        context = IngestContext(settings, topics, pipeline.registry, pipeline.identity.topics[topics.rows])
        watch = partial(watch_topics, admin, settings, pipeline.identity)
        if is_stream(settings.input):
            await carry_standard_input(context, readiness, watch, stop)
            return
        group = Groups.under(settings.topic_prefix).ingest
        assignor = RoundAssignor()
        consumer = new_consumer(settings, slot.client_id, group, assignor=assignor)
        ingest = Ingest(context, consumer, assignor, partial(confirm_topics, admin, pipeline.identity))
        await unless_stopped(stop, remove_predecessor(settings, group, slot))
        await run_lanes(
            consumer,
            [topics.progress],
            ingest.carry,
            ingest.opened,
            readiness,
            stop,
            [watch],
            until_returned=settings.once,
        )
    if not stop.is_set():
        _tell_what_is_wrong(ingest)


def _tell_what_is_wrong(ingest: Ingest) -> None:
    """Raise ServiceError for what a run that is done could not read, or had to reject as a whole."""
    whole = sorted(ingest.rejected_whole)
    if ingest.skipped_whole and len(ingest.skipped_whole) == len(ingest.sources):
        # Of one source among others it is said in the log.
        raise ConfigurationError("\n".join(sorted(ingest.skipped_whole)[:_MOST_TOLD]))
    if ingest.failed:
        raise SourceError("\n".join([_unread(ingest.failed), *whole[:_MOST_TOLD]]))
    if whole:
        more = [f"and {len(whole) - _MOST_TOLD} more sources like these"] if len(whole) > _MOST_TOLD else []
        raise AllRejectedError("\n".join([*whole[:_MOST_TOLD], *more]))


def _unread(failed: Mapping[str, str]) -> str:
    """Say in one line what was not read; each is in the log already."""
    plural = "1 source or folder was" if len(failed) == 1 else f"{len(failed):,} sources or folders were"
    more = [f"and {len(failed) - _MOST_TOLD:,} more, each in a line above"] if len(failed) > _MOST_TOLD else []
    return f"{plural} not read: {'; '.join([*list(failed.values())[:_MOST_TOLD], *more])}"
