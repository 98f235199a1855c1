"""The receipts of sources, read as sink issues them and passed on to the partitions that the sources belong to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from common.aiokafka_internals.fetched_batches import read_on, runs_of
from common.batches.record_runs import Record, is_deletion, key_of, one_by_one
from common.errors import ServiceError
from common.kafka.clients import open_reader
from common.pipeline.topics import Topics
from common.protocol.partitioner import partition_for
from common.protocol.receipts import Receipt, decode_receipt
from services.ingest.naming.locations import home_and_number
from services.ingest.settings import IngestSettings

_TIMEOUT_MS = 200


class Taker(Protocol):
    """The receiver of the receipts of one partition's sources."""

    def begin(self) -> None:
        """All of them come again: until they have come, some may not count any more."""

    def note(self, receipt: Receipt) -> None:
        """Take note of a receipt."""

    def drop(self, source: str) -> None:
        """Take note that the receipt of a source does not count any more."""

    def catch_up(self) -> None:
        """All that there were at the beginning have come."""


class Receipts:
    """Remembers none: a partition that is taken up later has all of them read again."""

    def __init__(self, settings: IngestSettings, topics: Topics) -> None:
        self._settings = settings
        self._partition = TopicPartition(topics.receipts, 0)
        self._takers: dict[int, Taker] = {}
        self._has_begun = False

    @contextmanager
    def passed_to(self, partition: int, taker: Taker) -> Iterator[None]:
        """Within the block, pass the receipts of this partition's sources on, the latest of each at least."""
        self._takers[partition] = taker
        self._has_begun = False
        try:
            yield
        finally:
            # Another task of this partition may have begun.
            if self._takers.get(partition) is taker:
                del self._takers[partition]

    async def read(self) -> NoReturn:
        """Read from the beginning and on. ServiceError if a record is none of Nacre's."""
        async with open_reader(self._settings, "nacre-ingest-receipts") as consumer:
            consumer.assign([self._partition])
            end: int | None = None
            while True:
                if not self._has_begun:
                    end = await self._begin(consumer)
                for record in one_by_one(runs_of(await read_on(consumer, self._partition, _TIMEOUT_MS))):
                    self._pass_on(record)
                if end is not None and self._has_begun and await consumer.position(self._partition) >= end:
                    end = None
                    for taker in self._takers.values():
                        taker.catch_up()

    async def _begin(self, consumer: AIOKafkaConsumer) -> int:
        """Read from the beginning; return the offset at which everything that exists now has been read."""
        # Before the offsets are asked for: another partition may be taken up meanwhile.
        self._has_begun = True
        for taker in self._takers.values():
            taker.begin()
        beginnings = await consumer.beginning_offsets([self._partition])
        ends = await consumer.end_offsets([self._partition])
        consumer.seek(self._partition, beginnings[self._partition])
        return int(ends[self._partition])

    def _pass_on(self, record: Record) -> None:
        source = key_of(record).decode()
        home, _ = home_and_number(source)
        taker = self._takers.get(partition_for(home.encode(), self._settings.partitions))
        if taker is None:
            return
        if is_deletion(record):
            taker.drop(source)
            return
        try:
            taker.note(decode_receipt(record.value))
        except ValueError as error:
            raise ServiceError(f"topic {self._partition.topic}: a record is {error}") from None
