"""Where a stream is written, and what settles it when its producer has failed: it cannot be read again."""

import asyncio

import structlog
from aiokafka import TopicPartition
from msgspec import Struct
from msgspec.structs import replace

from common.aiokafka_internals.offset_requests import find_written_end
from common.batches.record_runs import key_of
from common.errors import ServiceError
from common.kafka.clients import StartedProducer, open_producer, open_reader
from common.kafka.reading import read_until
from common.kafka.transaction import Outbox, Transactions
from common.protocol.partitioner import partition_for
from common.protocol.progress import Progress, decode_progress, encode_progress
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from services.ingest.context import IngestContext
from services.ingest.drain_clock import DrainClock
from services.ingest.source import Source

log = structlog.get_logger()

# Of DRAIN_DEADLINE_S, from the signal on: the rest is for closing connections.
_SHARE_OF_DRAIN = 0.5


class StreamPlace(Struct, frozen=True):
    """Where the source of this name is written, by one producer at a time."""

    context: IngestContext
    name: str

    @property
    def transactional_id(self) -> str:
        """The id of each of its producers."""
        return f"{self.context.settings.topic_prefix}ingest-{self.name}"

    @property
    def home(self) -> TopicPartition:
        """The partition that its progress is in."""
        partition = partition_for(self.name.encode(), self.context.settings.partitions)
        return TopicPartition(self.context.topics.progress, partition)

    def transactions(self, producer: StartedProducer) -> Transactions:
        """The transactions of one of its producers."""
        return Transactions(producer, [self.home, *self.context.writes_to()], counts=self.context.counts)

    def put(self, outbox: Outbox, progress: Progress) -> None:
        """Put its progress into an outbox."""
        topic, partition = self.home
        outbox.put(topic, partition, self.name.encode(), encode_progress(progress))


async def settle_left(place: StreamPlace, source: Source, clock: DrainClock) -> Progress | None:
    """Have the stream's last commit carried out, or aborted, and record that no more will come; return its progress.

    An end that was all that was aborted is sent again.

    Readers would wait for ever for both, so this is tried until it succeeds. None if it is refused, or once a signal
    has come and the time for it is over.
    """
    settings, left = place.context.settings, list[Progress]()

    async def session(_readiness: Readiness, _stop: asyncio.Event) -> None:
        left.append(await _settle(place, source))

    # Not with the signal's event: a commit that is under way when a signal comes may need this.
    settling = run_sessions(settings, session, asyncio.Event(), place.context.counts)
    try:
        await clock.cut(_SHARE_OF_DRAIN, settling)
    except (ServiceError, TimeoutError) as error:
        log.warning("a stream cannot be settled", source=place.name, reason=str(error))
    return left[-1] if left else None


async def _settle(place: StreamPlace, source: Source) -> Progress:
    async with open_producer(place.context.settings, place.transactional_id) as producer:
        transactions = place.transactions(producer)
        try:
            await transactions.take_over()
            progress = await _read_progress(place)
            if not (progress.ended or progress.given_up):
                outbox = transactions.outbox()
                if source.progress.ended and source.progress.offset == progress.offset:
                    source.end_again(outbox)
                    progress = source.progress
                else:
                    progress = replace(progress, given_up=True)
                place.put(outbox, progress)
                await transactions.commit(outbox)
                await transactions.settle()
        finally:
            transactions.give_up()
    return progress


async def _read_progress(place: StreamPlace) -> Progress:
    settings, client_id, latest = place.context.settings, place.transactional_id, b""
    async with open_reader(settings, client_id) as consumer:
        # Another producer's open transaction may be before the last commit.
        end = await find_written_end(consumer, place.home)
        async for records in read_until(consumer, place.home, end):
            for record in records:
                if key_of(record) == place.name.encode():
                    latest = record.value
    progress = decode_progress(latest) if latest else None
    return progress if isinstance(progress, Progress) else place.context.new_progress(place.name)
