"""One partition of `rows`: fetched and categorized, for the splits at its position and for those being filled."""

import asyncio
import math

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from common.aiokafka_internals.fetched_batches import whole_runs_of
from common.counts import PartitionCounts
from common.kafka.offsets import update_lag
from common.kafka.partition_names import naming
from common.kafka.transaction import Offsets, Outbox
from common.protocol.position import Position, SplitGroup, encode_position
from common.sessions.partition_tasks import fetch
from services.split.categorizing import Categorizer
from services.split.filling import Filling

log = structlog.get_logger()

_FETCH_TIMEOUT_S = 0.2


class RowsPartition:
    """One partition of `rows`: the main categorizer stands at `position`, and other splits are filled behind it."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        beginning: int,
        begun: Position,
        categorizer: Categorizer,
        filling: Filling,
        counts: PartitionCounts,
    ) -> None:
        self._consumer = consumer
        self._partition = partition
        self._beginning = beginning
        self._begun = begun
        self._categorizer = categorizer
        self._counts = counts
        self.filling = filling
        self.position = begun.main.offset

    async def begin(self) -> None:
        """Seek to the position and begin to fetch."""
        await self.filling.open()
        # The mark may be gone while the batch that it heads is not: then that batch comes as a whole.
        self._consumer.seek(self._partition, max(self._categorizer.cursor.read_from, self._beginning))
        self._consumer.resume(self._partition)

    async def process(
        self, outbox: Outbox, stop: asyncio.Event, patience_s: float, sooner: "asyncio.Future[None] | None"
    ) -> bool:
        """Fetch and categorize the next rows, also for splits being filled; return whether there were any."""
        longest_ms = math.ceil(1000 * min(max(patience_s, 0.0), _FETCH_TIMEOUT_S))
        with naming(self._partition):
            # Do not wait for rows while there is something to fill.
            patience_ms = 0 if self.filling else longest_ms
            batches = await fetch(self._consumer, self._partition, stop, patience_ms, sooner)
            await self._categorizer.categorize(whole_runs_of(batches), outbox)
            # Reading begins at a mark, which may stand before what is processed already.
            self.position = max(self.position, await self._consumer.position(self._partition))
            # The split that is furthest behind decides.
            furthest = min([self.position, *(group.offset for group in self.filling.groups)])
            update_lag(self._counts, self._consumer, self._partition, furthest)
            if not self.filling:
                return bool(batches)
            patience_ms = 0 if batches else longest_ms
            moved = await self.filling.process(self.position, outbox, stop, patience_ms, sooner)
            await self._join()
        return moved or bool(batches)

    @property
    def progress(self) -> tuple[int, tuple[SplitGroup, ...]]:
        """How far every split has come."""
        return self.position, self.filling.groups

    @property
    def offsets(self) -> Offsets:
        """The position to commit with what was put into outboxes."""
        main = SplitGroup(self.position, self._categorizer.cursor.mark_offset, self._categorizer.held)
        position = replace(self._begun, main=main, filling=self.filling.groups, rows=self._categorizer.rows)
        return {self._partition: OffsetAndMetadata(self.position, encode_position(position))}

    async def _join(self) -> None:
        arrived = await self.filling.take_arrived(self.position)
        for split, held in arrived:
            self._categorizer.add(split, held)
        if arrived:
            names = [split.name for split, _ in arrived]
            log.info("filled: the splits go on with the others", partition=self._partition.partition, splits=names)
