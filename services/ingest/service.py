"""ingest: files → rows. Rows, and the place where reading goes on, are committed in one transaction."""

import asyncio
import errno
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.clients import new_consumer, open_admin, open_producer
from common.errors import SourceError, TooManyRejectedError
from common.lanes import all_arrived, run_lanes
from common.predecessor import Slot, remove_predecessor
from common.progress import Progress, decode_progress, encode_progress
from common.readiness import Readiness
from common.registry import Registry
from common.session import pause, run_sessions, unless_stopped
from common.topic_reading import read_to_end
from common.topics import Groups, ensure_topics, partition_for
from common.transaction import Transactions
from services.ingest.files import STANDARD_INPUT, find_files, source_name
from services.ingest.followed import Followed
from services.ingest.settings import IngestSettings
from services.ingest.source import Shop
from services.ingest.standard_input import carry_standard_input

log = structlog.get_logger()

_OUTBOX_BYTES = 4 * 2**20
_SCAN_INTERVAL_S = 1.0
# Compressed sources that a lane reads at the same time.
_MAX_UNPACKING = 4
# How often files are looked at that have not settled yet, and how often the others.
_LOOK_INTERVAL_S = 0.02
_IDLE_LOOK_INTERVAL_S = 0.2


class Ingest:
    """The sources of this replica: a source belongs to the partition of `progress` that its name hashes to."""

    def __init__(self, shop: Shop, consumer: AIOKafkaConsumer) -> None:
        self._shop = shop
        self._settings = shop.settings
        self._consumer = consumer
        self._scan = Scan(shop.settings)
        self.opened: set[TopicPartition] = set()
        self.failed: dict[str, str] = {}

    async def carry(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """The loop: each source of this partition gives its next rows in turn; they are committed as they come."""
        prefix = self._settings.topic_prefix
        async with open_producer(self._settings, f"{prefix}ingest-{partition.partition}", stop) as producer:
            transactions = Transactions(producer, [partition, *self._shop.writes_to()])
            await unless_stopped(stop, transactions.take_over())
            # Only now: whatever a predecessor had under way is settled.
            known = await unless_stopped(stop, self._read_progress(partition))
            lane = IngestLane(self._shop, partition, transactions, known)
            try:
                lane.follow(await self._scan.files())
                await lane.commit()
                # Before all are opened none may be read to its end: who waits until every started source has ended
                # would leave too early.
                self.opened.add(partition)
                await all_arrived(self._consumer, self.opened, stop)
                while not stop.is_set():
                    lane.follow(await self._scan.files())
                    if not await lane.take_turn(stop):
                        if self._settings.once and lane.finished:
                            break
                        await transactions.settle()
                        await pause(stop, _IDLE_LOOK_INTERVAL_S if lane.finished else _LOOK_INTERVAL_S)
                await lane.commit()
                await transactions.settle()
                self.failed |= lane.failed | self._scan.failed
            finally:
                transactions.give_up()

    async def _read_progress(self, partition: TopicPartition) -> dict[str, Progress]:
        self._consumer.seek(partition, (await self._consumer.beginning_offsets([partition]))[partition])
        self._consumer.resume(partition)
        records = await read_to_end(self._consumer, partition)
        # This lane is the one that writes it from now on.
        self._consumer.pause(partition)
        return {record.key.decode(): decode_progress(record.value) for record in records}


class IngestLane:
    """The sources of one partition and the outbox that their rows are gathered in."""

    def __init__(
        self, shop: Shop, partition: TopicPartition, transactions: Transactions, known: dict[str, Progress]
    ) -> None:
        self._shop = shop
        self._partition = partition
        self._known = known
        self._sources: dict[str, Followed] = {}
        self._touched: set[Followed] = set()
        self._unpacking: set[Followed] = set()
        self.transactions = transactions
        self._outbox = transactions.outbox()

    @property
    def finished(self) -> bool:
        """Whether every source is read to its end, or cannot be read."""
        return all(source.finished for source in self._sources.values())

    @property
    def failed(self) -> dict[str, str]:
        """The sources that cannot be read, and why."""
        return {name: source.trouble for name, source in self._sources.items() if source.trouble}

    def follow(self, files: dict[str, Path]) -> None:
        """Take up the files that belong to this lane and are new to it."""
        for name, path in files.items():
            if name in self._sources or self._partition.partition != partition_for(
                name.encode(), self._shop.settings.partitions
            ):
                continue
            progress = self._known.get(name) or Progress(name)
            self._shop.check_rejected(progress)
            source = Followed(self._shop, path, progress)
            self._sources[name] = source
            if name not in self._known:
                self._touched.add(source)

    async def take_turn(self, stop: asyncio.Event) -> bool:
        """Let every source put what it has into the outbox, and commit as it fills; False when none had anything."""
        moved = False
        for source in list(self._sources.values()):
            if stop.is_set():
                break
            if source.is_packed and not self._may_unpack(source):
                continue
            if await source.read_on(self._outbox):
                moved = True
                self._touched.add(source)
            if not self.transactions.busy or self._is_due():
                await self.commit()
        return moved

    def _may_unpack(self, source: Followed) -> bool:
        """Whether it is this source's turn: what an unpacker holds may be much, and files may be thousands."""
        self._unpacking = {other for other in self._unpacking if not (other.finished or other.trouble)}
        if len(self._unpacking) < _MAX_UNPACKING:
            self._unpacking.add(source)
        return source in self._unpacking

    def _is_due(self) -> bool:
        return self._outbox.is_due(time.monotonic(), self._shop.settings.commit_interval_ms, _OUTBOX_BYTES)

    async def commit(self) -> None:
        """Begin to commit what is gathered, with the progress of the sources that gave it."""
        if not self._touched:
            return
        moved = [source.progress for source in self._touched]
        for progress in moved:
            value = encode_progress(progress)
            self._outbox.put(self._partition.topic, self._partition.partition, progress.source.encode(), value)
        outbox, self._outbox = self._outbox, self.transactions.outbox()
        self._touched.clear()
        await self.transactions.commit(outbox)
        try:
            for progress in moved:
                self._shop.check_rejected(progress)
        except TooManyRejectedError:
            # Whoever is told of them has to find them.
            await self.transactions.settle()
            raise


class Scan:
    """The files that INPUT names, looked up for all lanes at once; with ONCE a single time."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._found: dict[str, Path] | None = None
        self._at = 0.0
        # The folders that cannot be looked into, and why.
        self.failed: dict[str, str] = {}

    async def files(self) -> dict[str, Path]:
        """The files as they were a scan interval ago at the most."""
        async with self._lock:
            overdue = not self._settings.once and time.monotonic() - self._at >= _SCAN_INTERVAL_S
            if self._found is None or overdue:
                errors: list[OSError] = []
                found = await asyncio.to_thread(find_files, self._settings.input, errors.append)
                self._tell(errors)
                if not found and self._found != found:
                    log.warning("no input yet: no *.csv file there", input=self._settings.input)
                self._found = found
                self._at = time.monotonic()
            return self._found

    def _tell(self, errors: Sequence[OSError]) -> None:
        """Each folder once, when it begins to fail and when it no longer does."""
        # One that has gone since it was seen holds nothing.
        why = {source_name(Path(error.filename)): error.strerror for error in errors if error.errno != errno.ENOENT}
        failed = {folder: f"cannot read {folder}: {reason}" for folder, reason in why.items()}
        for folder in failed.keys() - self.failed.keys():
            log.error("folder cannot be read", folder=folder, reason=failed[folder])
        for folder in self.failed.keys() - failed.keys():
            log.info("folder can be read again", folder=folder)
        self.failed = failed


async def serve(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Carry what INPUT names into Kafka until `stop`, or, with ONCE, to its end.

    Raises SourceError, when all else is done, where ONCE could not read some source.
    """
    if settings.input != STANDARD_INPUT:
        # A name that is not there at all is said before any broker is asked.
        find_files(settings.input)
    await run_sessions(partial(_session, settings, Slot(settings, "ingest")), stop)


async def _session(settings: IngestSettings, slot: Slot, readiness: Readiness, stop: asyncio.Event) -> None:
    async with open_admin(settings, stop) as admin:
        topics = await unless_stopped(stop, ensure_topics(admin, settings))
    shop = Shop(settings, topics, Registry(settings, topics))
    if settings.input == STANDARD_INPUT:
        await carry_standard_input(shop, readiness, stop)
        return
    group = Groups.under(settings.topic_prefix).ingest
    consumer = new_consumer(settings, slot.client_id, group)
    ingest = Ingest(shop, consumer)
    await unless_stopped(stop, remove_predecessor(settings, group, slot))
    await run_lanes(
        consumer, [topics.progress], ingest.carry, ingest.opened, readiness, stop, until_returned=settings.once
    )
    if ingest.failed and not stop.is_set():
        raise SourceError(f"{len(ingest.failed)} sources or folders were not read: {'; '.join(ingest.failed.values())}")
