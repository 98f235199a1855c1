"""The receipts of sources, read as sink issues them and passed on to the partitions that the sources belong to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from aiokafka import TopicPartition

from common.aiokafka_internals.fetched_batches import read_on, runs_of
from common.batches.record_runs import Record, one_by_one
from common.errors import ServiceError
from common.kafka.clients import open_reader
from common.pipeline.topics import Topics
from common.protocol.partitioner import partition_for
from common.protocol.receipts import Receipt, decode_receipt
from services.ingest.naming.locations import home_and_number
from services.ingest.settings import IngestSettings

_TIMEOUT_MS = 200

Take = Callable[[Receipt], None]


class Receipts:
    """Remembers none: a partition that is taken up later has all of them read again."""

    def __init__(self, settings: IngestSettings, topics: Topics) -> None:
        self._settings = settings
        self._partition = TopicPartition(topics.receipts, 0)
        self._takers: dict[int, Take] = {}
        self._has_begun = False

    @contextmanager
    def passed_to(self, partition: int, take: Take) -> Iterator[None]:
        """Within the block, pass the receipts of this partition's sources on to `take`, the latest of each at least."""
        self._takers[partition] = take
        self._has_begun = False
        try:
            yield
        finally:
            # Another task of this partition may have begun.
            if self._takers.get(partition) is take:
                del self._takers[partition]

    async def read(self) -> NoReturn:
        """Read from the beginning and on. ServiceError if a record is none of Nacre's."""
        async with open_reader(self._settings, "nacre-ingest-receipts") as consumer:
            consumer.assign([self._partition])
            while True:
                if not self._has_begun:
                    # Before the offset is asked for: another partition may be taken up meanwhile.
                    self._has_begun = True
                    beginnings = await consumer.beginning_offsets([self._partition])
                    consumer.seek(self._partition, beginnings[self._partition])
                for record in one_by_one(runs_of(await read_on(consumer, self._partition, _TIMEOUT_MS))):
                    self._pass_on(record)

    def _pass_on(self, record: Record) -> None:
        if not record.value:
            return
        try:
            receipt = decode_receipt(record.value)
        except ValueError as error:
            raise ServiceError(f"topic {self._partition.topic}: a record is {error}") from None
        home, _ = home_and_number(receipt.source)
        take = self._takers.get(partition_for(home.encode(), self._settings.partitions))
        if take is not None:
            take(receipt)
