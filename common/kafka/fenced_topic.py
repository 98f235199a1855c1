"""A topic of one partition that many replicas write to, each knowing everything that the others wrote."""

import asyncio
import random
from collections.abc import Callable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ProducerFenced

from common.aiokafka_internals.consumer_state import know_topics
from common.aiokafka_internals.offset_requests import find_written_end
from common.batches.record_runs import Record
from common.kafka.clients import open_producer, open_reader
from common.kafka.reading import find_end, read_to_end
from common.kafka.transaction import Transactions
from common.settings import ServiceSettings

log = structlog.get_logger()

_FIRST_BACK_OFF_S = 0.1
_LONGEST_BACK_OFF_S = 3.0

# A record's key and value.
KeyValue = tuple[bytes, bytes]


class FencedTopic:
    """Reads new records of the topic, and appends records that were decided on with all others known.

    `take` gets each record once. All writers share one transactional id: the one that starts its producer last fences
    the others, and reads what they committed before it writes. So no two decide from the same state.
    """

    def __init__(self, settings: ServiceSettings, topic: str, take: Callable[[Sequence[Record]], None]) -> None:
        self._settings = settings
        self._take = take
        self._partition = TopicPartition(topic, 0)
        self._next_offset = 0

    async def read(self, consumer: AIOKafkaConsumer | None = None) -> None:
        """Take the records that came since the last read, with this consumer or with one of its own."""
        if consumer is not None:
            await self._read_with(consumer)
            return
        async with open_reader(self._settings, f"nacre-{self._partition.topic}") as own:
            await self._read_with(own)

    async def append(self, decide: Callable[[], Sequence[KeyValue]]) -> Sequence[KeyValue]:
        """Call `decide` once all records are taken, append what it returns, and return that once it is committed.

        Each time another writer is quicker, call `decide` again, with that writer's records taken.
        """
        back_off_s = _FIRST_BACK_OFF_S
        while True:
            try:
                return await self._append(decide)
            except ProducerFenced:
                log.info("another replica writes to this topic, trying again", topic=self._partition.topic)
                # Random, and longer each time: replicas that try again at once would fence one another for ever.
                await asyncio.sleep(random.uniform(0, back_off_s))  # noqa: S311 - no secret
                back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)

    async def _append(self, decide: Callable[[], Sequence[KeyValue]]) -> Sequence[KeyValue]:
        # The topic's name already has the prefix. The producer starts second: the sooner it commits after its start,
        # the less often another one fences it.
        async with (
            open_reader(self._settings, f"nacre-{self._partition.topic}") as consumer,
            open_producer(self._settings, self._partition.topic) as producer,
        ):
            transactions = Transactions(producer, [self._partition])
            await transactions.take_over()
            await know_topics(consumer, [self._partition.topic])
            # Readers find a commit that has just been completed only once the replicas have its marker.
            await find_end(consumer, self._partition, await find_written_end(consumer, self._partition))
            await self._read_with(consumer)
            entries = decide()
            if entries:
                outbox = transactions.outbox()
                for key, value in entries:
                    outbox.put(self._partition.topic, 0, key, value)
                await transactions.commit(outbox)
                # The caller next writes what depends on these entries, and its readers have to find them: the replicas
                # may get the marker later than the leader, which says that it is there.
                await transactions.settle()
                await find_end(consumer, self._partition, self._next_offset + len(entries))
            return entries

    async def _read_with(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        consumer.seek(self._partition, self._next_offset)
        records = [record async for record in read_to_end(consumer, self._partition)]
        next_offset = await consumer.position(self._partition)
        # Await nothing between the two: a cancellation leaves both done or neither.
        self._take(records)
        self._next_offset = next_offset
