"""Outboxes, which gather records, and the transactions that commit them one after the other."""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from common.aiokafka_internals.batch_builder import NewBatch
from common.aiokafka_internals.forgotten_commits import complete_forgotten_end
from common.aiokafka_internals.transaction_markers import Consumed, TransactionMarkers
from common.batches.record_runs import Headers
from common.broker_errors.refusals import refusal_of_records
from common.counts import Counts, RowCounts
from common.kafka.clients import StartedProducer
from common.kafka.pace import FIRST_BYTES, Pace, next_most_bytes
from common.kafka.partition_names import partition_names
from common.waiting import ignore_failure, within

log = structlog.get_logger()

Offsets = dict[TopicPartition, OffsetAndMetadata]
_TOO_LARGE = (
    "a row of {} bytes does not fit into a record batch beside its mark: is MAX_ROW_BYTES lower than in ingest?"
)
# Key, value and headers.
NewRecord = tuple[bytes | None, bytes, Headers]


class Outbox:
    """The record batches of a future transaction, in their order per partition. `size` is in bytes.

    `rows` counts the rows in them, as reported by the code that puts them.
    """

    def __init__(self, new_batch: Callable[[], NewBatch]) -> None:
        self._new_batch = new_batch
        self._timestamp_ms = 0
        self.batches: defaultdict[tuple[str, int], list[NewBatch]] = defaultdict(list)
        # The mark that the last rows of a partition's last batch stand behind.
        self._marks: dict[tuple[str, int], NewRecord] = {}
        self.size = 0
        self.rows = RowCounts()
        self.began = time.monotonic()

    def begin_batch(self, topic: str, partition: int) -> NewBatch:
        """Begin a new record batch after those that the partition has."""
        if not self.size:
            # An outbox may have waited for days: a row with the time of its beginning would be removed by retention.
            self._timestamp_ms = int(time.time() * 1000)
        self.batches[topic, partition].append(batch := self._new_batch())
        self._marks.pop((topic, partition), None)
        return batch

    def put(self, topic: str, partition: int, key: bytes | None, value: bytes, headers: Headers | None = None) -> None:
        """Put one record."""
        batches = self.batches[topic, partition]
        batch = batches[-1] if batches else self.begin_batch(topic, partition)
        if not self.append(batch, key, value, headers):
            self.append(self.begin_batch(topic, partition), key, value, headers)

    def append(self, batch: NewBatch, key: bytes | None, value: bytes, headers: Headers | None = None) -> bool:
        """Put one record into this batch; False when it is full."""
        before = batch.size()
        added = batch.append(timestamp=self._timestamp_ms, key=key, value=value, headers=headers or []) is not None
        self.size += batch.size() - before
        return added

    def put_rows(self, topic: str, partition: int, key: bytes, rows: Sequence[bytes]) -> None:
        """Put many rows with one key. This is the hot path."""
        batches = self.batches[topic, partition]
        batch = batches[-1] if batches else self.begin_batch(topic, partition)
        done = self.fill(batch, key, rows)
        while done < len(rows):
            done = self.fill(self.begin_batch(topic, partition), key, rows, done)

    def put_marked_rows(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        rows: Sequence[bytes],
        mark_before: Callable[[int], NewRecord],
    ) -> None:
        """Put many rows with one key behind marks: `mark_before(n)` is the record before row n. This is the hot path.

        Every record batch has a mark before its first row: where several producers write, only a batch is certain to
        stay together. Rows behind the very same record as the last ones of a batch need it no second time. ValueError
        if a row does not fit into a batch beside its mark.
        """
        place = topic, partition
        batches = self.batches[place]
        batch = batches[-1] if batches else None
        done = 0
        while done < len(rows):
            mark, before = mark_before(done), done
            if batch is None or (self._marks.get(place) is not mark and not self.append(batch, *mark)):
                batch = self.begin_batch(topic, partition)
                self.append(batch, *mark)
            self._marks[place] = mark
            done = self.fill(batch, key, rows, done)
            if done == before and batch.record_count() == 1:
                raise ValueError(_TOO_LARGE.format(len(rows[done])))
            batch = None

    def fill(self, batch: NewBatch, key: bytes | None, rows: Sequence[bytes], start: int = 0) -> int:
        """Put rows from `start` on into a batch until it is full; return the index of the first left out.

        An empty batch takes a first row of any size, so a loop over this always ends.
        """
        before = batch.size()
        position = batch.put_rows(self._timestamp_ms, key, rows, start)
        self.size += batch.size() - before
        return position

    def __bool__(self) -> bool:
        return bool(self.batches)


class Transactions:
    """Commits one outbox while the next is being filled; never two at once.

    `partitions` are those that an outbox may have records for; `consumed` is the one whose offset they are committed
    with; `pace` says how long an outbox gathers, without one not at all; `counts` gets what is committed. `commit` and
    `settle` raise the error of the commit before: the caller then abandons the producer, and starts again from what is
    committed.
    """

    def __init__(
        self,
        producer: StartedProducer,
        partitions: Collection[TopicPartition],
        consumed: Consumed | None = None,
        pace: Pace | None = None,
        counts: Counts | None = None,
    ) -> None:
        self._producer = producer
        self._partitions = partitions
        self._group = None if consumed is None else consumed.group
        self._markers = TransactionMarkers(producer.client, consumed)
        self._pace = pace
        self._counts = Counts() if counts is None else counts
        self._in_flight: asyncio.Task[None] | None = None
        self._most_bytes = FIRST_BYTES

    @property
    def busy(self) -> bool:
        """Whether a commit is under way."""
        return self._in_flight is not None and not self._in_flight.done()

    @property
    def in_flight(self) -> asyncio.Task[None] | None:
        """The latest commit until it is settled, to wait for; None where there is none."""
        return self._in_flight

    def outbox(self) -> Outbox:
        """An empty outbox for this producer, which gathers from now on."""
        outbox = Outbox(self._producer.new_batch)
        if self._pace is not None:
            self._pace.begin(self, outbox)
        return outbox

    def left_s(self, outbox: Outbox) -> float:
        """For how many seconds this outbox is to gather more: for ever while it is empty; 0 or less to commit it."""
        if not outbox or self._pace is None:
            return 0.0 if outbox else math.inf
        if outbox.size >= self._most_bytes:
            return 0.0
        return self._pace.left_s(outbox, time.monotonic(), busy=self.busy)

    async def commit(self, outbox: Outbox, offsets: Offsets | None = None) -> None:
        """Settle the commit before, then begin to commit this outbox."""
        await self.settle()
        self._in_flight = asyncio.create_task(self._transact(outbox, offsets))

    async def take_over(self) -> None:
        """Make sure that a predecessor's last transaction is carried out. Call it before reading what it committed."""
        producer = self._producer
        what = f"the last transaction of {producer.transactional_id} is not carried out"
        async with within(producer.timeout_s, what):
            if unmarked := await self._markers.find_missing(self._partitions):
                is_abort = producer.owes_abort
                ended = "an abort" if is_abort else "a commit"
                names = partition_names(unmarked.partitions)
                log.warning("completing what the broker forgot", ended_by=ended, unmarked=names)
                await complete_forgotten_end(producer.client, unmarked, self._group, is_abort=is_abort)
                await self._markers.wait(self._partitions)

    async def settle(self) -> None:
        """Wait until no commit is under way: from then on readers find what was committed."""
        if self._in_flight is not None:
            await self._in_flight
            self._in_flight = None

    def give_up(self) -> None:
        """Abandon the commit under way: the next producer with this id settles it."""
        if self._pace is not None:
            self._pace.end(self)
        if self._in_flight is not None:
            self._in_flight.cancel()
            self._in_flight.add_done_callback(ignore_failure)

    async def _transact(self, outbox: Outbox, offsets: Offsets | None) -> None:
        # The broker aborts a transaction that lasts longer.
        producer, began, size = self._producer.client, time.monotonic(), outbox.size
        # Before the batches are sent, which takes them out of the outbox.
        described = _describe(outbox, offsets) if log.is_enabled_for(logging.DEBUG) else None
        async with within(self._producer.timeout_s, f"a transaction of {self._producer.transactional_id} is not done"):
            await producer.begin_transaction()
            await asyncio.gather(*(self._send(*place, batches) for place, batches in outbox.batches.items()))
            if offsets:
                await producer.send_offsets_to_transaction(offsets, self._group)
            await producer.commit_transaction()
            self._counts.rows.add_all(outbox.rows)
            # Before the next transaction begins: see forgotten_commits.
            await self._markers.wait([TopicPartition(*place) for place in outbox.batches])
        took_s = time.monotonic() - began
        self._counts.transactions.add(took_s)
        self._most_bytes = next_most_bytes(self._most_bytes, size, took_s, self._producer.timeout_s)
        if described is not None:
            log.debug("committed", **described, took_s=round(took_s, 3))

    async def _send(self, topic: str, partition: int, batches: list[NewBatch]) -> None:
        sent = []
        while batches:
            # Keep none: each is as large as it gets, and is freed once it is delivered.
            sent.append(await self._producer.client.send_batch(batches.pop(0), topic, partition=partition))
        # Await every delivery: a failed batch does not fail aiokafka's transaction, and the commit would lose its rows.
        try:
            for delivery in sent:
                await delivery
        except KafkaError as error:
            # aiokafka's error names no topic.
            if refusal := refusal_of_records(error, topic):
                raise refusal from error
            raise


def _describe(outbox: Outbox, offsets: Offsets | None) -> dict[str, Any]:
    """An outbox as fields of a log line: records, bytes, where they go, and the offset that is committed with them."""
    records = sum(batch.record_count() for batches in outbox.batches.values() for batch in batches)
    offset = {"offset": max(each.offset for each in offsets.values())} if offsets else {}
    return {"records": records, "bytes": outbox.size, "to": partition_names(outbox.batches), **offset}
