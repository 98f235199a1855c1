"""The one sink that issues receipts, the owner of `rejected`: shares are joined, receipts written and then sent.

The file comes first, then the record, which says up to which offset of `shares` the receipt was joined. A death between
the two heals at the next start: both follow from the shares, and the sources that have a share behind that offset are
joined again. A receipt that says the same as the one already issued is not issued again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from common.aiokafka_internals.fetched_batches import RecordBatch, read_on, runs_of
from common.batches.record_runs import Record, is_deletion, key_of, one_by_one
from common.errors import ServiceError
from common.pipeline.topics import Topics
from common.protocol.receipts import Receipt, encode_receipt, fingerprint
from common.protocol.shares import Share, decode_share
from common.waiting import pause, until_stopped
from services.sink.disk.temporary import open_temporary, temporary_errors
from services.sink.disk.writing import write_whole
from services.sink.paths.receipts import receipt_path
from services.sink.receipts.joined import AT_ONCE, FOLDER, SHARES, Joined
from services.sink.receipts.sharing import Sender
from services.sink.tallies.joining import Makers, find_lack, join
from services.sink.threads import in_thread

log = structlog.get_logger()

# Shares wake it; only a stop ends the wait sooner.
_TIMEOUT_MS = 5_000
# As long as it takes until a broker that is killed is missed by the others (broker.session.timeout.ms), and more.
_PATIENCE_S = 15.0
_RETRY_INTERVAL_S = 0.5


class Issuing:
    """Issues the receipts of the output folder `root`. Every share before the offset `position` is joined.

    `joined` has the receipts that were issued before; `has_files`: receipts get files; `find_resting` gives the digests
    of the splits that SPLIT_BY no longer names. DiskError.
    """

    def __init__(
        self,
        root: Path,
        topics: Topics,
        makers: Makers,
        consumer: AIOKafkaConsumer,
        sender: Sender,
        joined: Mapping[str, Joined],
        find_resting: Callable[[], Awaitable[Collection[str]]],
        *,
        has_files: bool,
    ) -> None:
        self._root = root
        self._has_files = has_files
        self._topics = topics
        self._makers = makers
        self._consumer = consumer
        self._sender = sender
        self._joined = dict(joined)
        self._find_resting = find_resting
        self._resting: Collection[str] = ()
        self._asking = asyncio.Lock()
        # By source, the offset of the latest share of those that were joined, and lack something.
        self._lacking: dict[str, int] = {}
        # The splits that rested when all of these were last found to lack something.
        self._judged_with: Collection[str] = ()
        self._shares = Shares(root)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="receipts")
        self._shares_partition = TopicPartition(topics.shares, 0)
        self.position = -1

    async def run(self, stop: asyncio.Event) -> None:
        """Issue receipts until `stop`. Raises DiskError, KafkaError and ServiceError."""
        try:
            # Before there is anything to fetch: the answer would wait behind a fetch that waits for records.
            beginnings = await self._consumer.beginning_offsets([self._shares_partition])
            self.position = beginnings[self._shares_partition]
            self._consumer.assign([self._shares_partition])
            self._consumer.seek(self._shares_partition, self.position)
            await self.refresh()
            while not stop.is_set():
                fetching = read_on(self._consumer, self._shares_partition, _TIMEOUT_MS)
                batches = await until_stopped(stop, fetching) or []
                changed = self._take(batches)
                if changed or self._lacking:
                    # Asked after the shares are there. Split commits that a split is back before it puts any end that
                    # names it, so an answer from before could have that split still at rest, and these ends without it.
                    await self._refresh_patiently(stop)
                if stop.is_set():
                    break
                await self._issue({**self._lacking, **changed} if self.is_outdated else changed)
                self.position = await self._consumer.position(self._shares_partition)
        finally:
            self._shares.close()
            # A cancelled task leaves its call running: the partition's lock is released after this.
            self._thread.shutdown(wait=True)

    def _take(self, batches: Sequence[RecordBatch]) -> dict[str, int]:
        """Take shares; return the sources that have to be joined, with the offset of the last share of each."""
        with self._named():
            return self._shares.take(one_by_one(runs_of(batches)), self._joined, self._makers.folder)

    async def refresh(self) -> None:
        """Find out anew which splits rest. KafkaError."""
        # One question at a time: an earlier answer must not replace a later one.
        async with self._asking:
            self._resting = await self._find_resting()

    async def _refresh_patiently(self, stop: asyncio.Event) -> None:
        """Find out anew which splits rest, for a while also where a broker goes, or until `stop`. KafkaError."""
        began = time.monotonic()
        while not stop.is_set():
            try:
                await self.refresh()
            except KafkaError:
                # A question goes to any broker, also to one that is about to be missed, and is not asked again.
                if time.monotonic() - began > _PATIENCE_S:
                    raise
                await pause(stop, _RETRY_INTERVAL_S)
            else:
                break

    @property
    def is_outdated(self) -> bool:
        """Whether sources lacked something that may rest by now: `run` joins them again within a few seconds."""
        return bool(self._lacking) and self._resting != self._judged_with

    async def _issue(self, sources: Mapping[str, int]) -> None:
        """Write and send the receipts of these sources, as far as they are delivered; with their shares' offsets."""
        # As they are now: if others rest before this ends, all that lack something are joined once more.
        self._judged_with = self._resting
        found: list[tuple[str, bytes, Joined]] = []
        for number, (source, offset) in enumerate(list(sources.items())):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            receipt = self._join(source)
            if receipt is None:
                self._lacking[source] = offset
                continue
            self._lacking.pop(source, None)
            value = encode_receipt(receipt)
            known, new = self._joined.get(source), Joined(offset, says=fingerprint(value))
            if known is None or known.says != new.says:
                found.append((source, value, new))
            if len(found) == AT_ONCE:
                await self._put(found)
                found = []
        await self._put(found)

    async def _put(self, found: Sequence[tuple[str, bytes, Joined]]) -> None:
        if not found:
            return
        if self._has_files:
            receipts = {receipt_path(source): value for source, value, _ in found}
            await in_thread(self._thread, write_whole, self._root, receipts)
        # After the files, so that a reader of a record finds its file.
        folder = self._makers.folder.encode()
        records = [
            (source.encode(), value, [(FOLDER, folder), (SHARES, b"%d" % joined.shares)])
            for source, value, joined in found
        ]
        await self._sender.send(self._topics.receipts, records)
        self._joined.update((source, joined) for source, _, joined in found)
        log.info("delivered", sources=len(found), first=found[0][0])

    def lack_of(self, source: str, number: int) -> str:
        """What the receipt of this end of a source lacks; "" if it is delivered."""
        return find_lack(self._shares_of(source), self._makers, number, self._resting)

    def _join(self, source: str) -> Receipt | None:
        # Shares arrive one by one. None is decoded until all are there.
        if self._shares.count(source) < len(self._makers.partitions):
            return None
        return join(self._shares_of(source), self._makers, self._resting)

    def _shares_of(self, source: str) -> list[Share]:
        with self._named():
            return [decode_share(value) for value in self._shares.of(source)]

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ServiceError(f"topic {self._topics.shares}: a record is {error}") from None


class Shares:
    """The newest shares of this folder, in a temporary database: there may be very many. Every method: DiskError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._db = open_temporary(
            root,
            "CREATE TABLE shares (source TEXT, partition TEXT, offset INTEGER, value BLOB, "
            "PRIMARY KEY (source, partition)) WITHOUT ROWID",
        )

    def take(self, records: Iterable[Record], joined: Mapping[str, Joined], folder: str) -> dict[str, int]:
        """Take records; return the sources that have to be joined, with the offset of the last record of each."""
        changed: dict[str, int] = {}
        with temporary_errors(self._root):
            for record in records:
                if is_deletion(record):
                    partition, _, source = key_of(record).decode().partition(" ")
                    self._db.execute("DELETE FROM shares WHERE (source, partition) = (?, ?)", (source, partition))
                    continue
                share = decode_share(record.value)
                if share.folder != folder:
                    continue
                self._db.execute(
                    "INSERT INTO shares VALUES (?, ?, ?, ?) ON CONFLICT (source, partition) DO UPDATE SET "
                    "offset = excluded.offset, value = excluded.value WHERE excluded.offset >= shares.offset",
                    (share.source, share.partition, share.offset, record.value),
                )
                known = joined.get(share.source)
                if known is None or record.offset > known.shares:
                    changed[share.source] = record.offset
        return changed

    def of(self, source: str) -> list[bytes]:
        """The shares of a source, as they came."""
        with temporary_errors(self._root):
            return [value for (value,) in self._db.execute("SELECT value FROM shares WHERE source = ?", (source,))]

    def count(self, source: str) -> int:
        """How many partitions have a share of a source."""
        with temporary_errors(self._root):
            [(count,)] = self._db.execute("SELECT count(*) FROM shares WHERE source = ?", (source,))
        return int(count)

    def close(self) -> None:
        """Drop all."""
        self._db.close()
