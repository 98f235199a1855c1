"""What a sink does for receipts: it shares what its partitions have safe, and the owner of `rejected` issues them."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from common.aiokafka_internals.consumer_state import know_topics
from common.kafka.clients import open_reader
from common.pipeline.start import Pipeline
from common.protocol.output_folder import RECEIPTS
from common.protocol.shares import encode_share
from common.version import VERSION
from common.waiting import pause, wait_for_all
from services.sink.folder_proofs.success import Undelivered
from services.sink.partition_files import PartitionFiles
from services.sink.receipts.issuing import Issuing
from services.sink.receipts.joined import read_joined, restore_files, withdraw
from services.sink.receipts.resting import find_resting
from services.sink.receipts.sharing import Sender
from services.sink.settings import SinkSettings
from services.sink.tallies.joining import Makers

if TYPE_CHECKING:
    from services.sink.receipts.posting import Posting

log = structlog.get_logger()

_LOOK_INTERVAL_S = 0.02
# A broker answers at once when a share comes.
_MAX_WAIT_MS = 2_000
# Sources that are judged before others get their turn.
_AT_ONCE = 100


class Delivery:
    """Shares and receipts of one session; in format 1 there are none."""

    def __init__(
        self, settings: SinkSettings, pipeline: Pipeline, folder: str, sender: Sender, admin: AIOKafkaAdminClient
    ) -> None:
        self._settings = settings
        self._topics = pipeline.topics
        self._has_receipts = pipeline.identity.format > 1
        self._folder = folder
        self._sender = sender
        self._find_resting = partial(find_resting, admin, settings)
        self._issuing: Issuing | None = None
        self._posting: Posting | None = None
        self._has_posted = False
        self._topic_ids = pipeline.identity.topics
        # The files of `rejected`, whose ledger knows each source that has ended; None unless this sink owns them.
        self._rejected: PartitionFiles | None = None
        names = [*(f"categorized-{number}" for number in range(settings.partitions)), "rejected-0"]
        self._makers = Makers(tuple(names), names[-1], pipeline.identity.cluster, folder, VERSION)

    async def share(self, partition: TopicPartition, files: PartitionFiles) -> None:
        """Send the shares of a partition that are to be issued, and wait until the broker has them."""
        name = f"{partition.topic.removeprefix(self._settings.topic_prefix)}-{partition.partition}"
        if shares := files.take_shares(name, self._folder):
            await self._sender.send(self._topics.shares, ((share.key, encode_share(share), []) for share in shares))
            files.note_shared(shares)

    async def issue(self, partition: TopicPartition, files: PartitionFiles, stop: asyncio.Event) -> None:
        """Issue receipts until `stop`, if this partition is that of `rejected`: one sink owns it."""
        if not self._has_receipts or partition.topic != self._topics.rejected:
            return
        self._rejected = files
        try:
            await self._issue(stop)
        finally:
            self._rejected = self._issuing = self._posting = None

    async def _issue(self, stop: asyncio.Event) -> None:
        root, has_files = self._settings.output_dir, RECEIPTS in self._settings.proof_files
        async with open_reader(self._settings, "nacre-receipts") as reader:
            joined = await read_joined(reader, self._topics, self._folder)
            # Before any is issued: whatever acts on receipts must not act on those of a folder that this pipeline left.
            await withdraw(self._sender, self._topics, joined)
            if has_files:
                await restore_files(reader, self._topics, joined, root, stop)
        async with AsyncExitStack() as opened:
            # Posting begins at the end of the topic, so it must be open before the first receipt is issued.
            posting = await self._open_posting(opened)
            consumer = await opened.enter_async_context(self._open_reader("nacre-shares"))
            self._issuing = Issuing(
                root,
                self._topics,
                self._makers,
                consumer,
                self._sender,
                joined,
                self._find_resting,
                has_files=has_files,
            )
            await wait_for_all(self._issuing.run(stop), *(each.run(stop) for each in posting))

    async def _open_posting(self, opened: AsyncExitStack) -> "list[Posting]":
        """What posts receipts to ON_DELIVERY, if that is set."""
        url = self._settings.on_delivery
        if url is None:
            return []
        # An HTTP client is loaded only where it is asked for.
        from services.sink.receipts.posting import Posting  # noqa: PLC0415

        partition, topic_id = TopicPartition(self._topics.receipts, 0), self._topic_ids[self._topics.receipts]
        consumer = await opened.enter_async_context(self._open_reader("nacre-on-delivery"))
        self._posting = Posting(self._settings.output_dir, url.reveal(), partition, topic_id, self._folder, consumer)
        self._has_posted = True
        opened.callback(self._posting.close)
        await self._posting.begin()
        return [self._posting]

    def _open_reader(self, client_id: str) -> AbstractAsyncContextManager[AIOKafkaConsumer]:
        return open_reader(self._settings, client_id, max_wait_ms=_MAX_WAIT_MS)

    async def all_issued(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        """Wait until every share that is there now is joined, as long as that is this sink's work; or until `stop`.

        A source that waited for a split alone has its receipt then, if that split rests by now.
        """
        if self._rejected is None:
            return
        partition = TopicPartition(self._topics.shares, 0)
        await know_topics(consumer, [self._topics.shares])
        end = (await consumer.end_offsets([partition]))[partition]
        while (
            not stop.is_set() and self._rejected is not None and (self._issuing is None or self._issuing.position < end)
        ):
            await pause(stop, _LOOK_INTERVAL_S)
        if self._issuing is not None:
            await self._issuing.refresh()
        while not stop.is_set() and self._issuing is not None and self._issuing.is_outdated:
            await pause(stop, _LOOK_INTERVAL_S)

    async def all_posted(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        """Wait until every receipt that is there now is posted; no longer than DRAIN_DEADLINE_S, or until `stop`."""
        if not self._has_posted:
            return
        partition, rejected = TopicPartition(self._topics.receipts, 0), TopicPartition(self._topics.rejected, 0)
        end = (await consumer.end_offsets([partition]))[partition]
        given_up_at = time.monotonic() + self._settings.drain_deadline_s
        while not stop.is_set() and (self._posting is None or self._posting.position < end):
            # Nobody posts while the group rebalances. Afterwards this sink posts on, or another one does.
            if (assigned := consumer.assignment()) and rejected not in assigned:
                return
            if time.monotonic() > given_up_at:
                log.warning("ON_DELIVERY has not taken all receipts: the next start goes on with them")
                return
            await pause(stop, _LOOK_INTERVAL_S)

    async def find_undelivered(
        self, consumer: AIOKafkaConsumer, ends: Mapping[str, int], stop: asyncio.Event
    ) -> Undelivered | None:
        """The sources whose end of this number is not delivered, while this sink issues; None if stopped."""
        while self._issuing is None and not stop.is_set():
            await pause(stop, _LOOK_INTERVAL_S)
        await self.all_issued(consumer, stop)
        found = Undelivered()
        for at, (source, number) in enumerate(ends.items()):
            if at % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if stop.is_set() or self._issuing is None or self._rejected is None:
                return None
            # All is processed: what this ledger does not know was forgotten.
            if (lack := self._issuing.lack_of(source, number)) and await self._rejected.knows(source):
                found = found.with_one(source, lack)
        return found


@asynccontextmanager
async def open_delivery(
    settings: SinkSettings, pipeline: Pipeline, folder: str, admin: AIOKafkaAdminClient
) -> AsyncIterator[Delivery]:
    """Shares and receipts for one session."""
    async with AsyncExitStack() as opened:
        yield Delivery(settings, pipeline, folder, Sender(settings, opened), admin)
