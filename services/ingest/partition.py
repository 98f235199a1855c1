"""The sources of one partition of `progress`: which they are, where their files are, and whose turn it is."""

import asyncio
import os
import time

import structlog
from aiokafka import TopicPartition

from common.errors import TooManyRejectedError
from common.kafka.transaction import Transactions
from common.protocol.progress import RUN_KEY, Progress, Run, encode_progress, encode_run
from services.ingest.context import IngestContext
from services.ingest.files.finding import path_of
from services.ingest.followed_file import FollowedFile
from services.ingest.locating import Locator
from services.ingest.naming.locations import Found, Moves, Seen, SourceLocation, earlier
from services.ingest.outcome import Outcome
from services.ingest.scan import Scan
from services.ingest.unpacking_turns import UnpackingTurns

log = structlog.get_logger()

_OUTBOX_BYTES = 4 * 2**20


class FollowedSources:
    """The files of a partition's sources: followed while they move, awake while there is something to read.

    `changed` are those whose progress the next commit has to hold.
    """

    def __init__(self, context: IngestContext, scan: Scan, partition: int, known: dict[str, Progress]) -> None:
        self._context = context
        self._scan = scan
        self._catalog = scan.catalog
        self._partition = partition
        self._known = known
        self._locator = Locator(context, scan)
        self._seen: Seen | None = None
        self.files: dict[str, FollowedFile] = {}
        # The files that are not at rest: few of ten thousand.
        self.awake: dict[str, FollowedFile] = {}
        # Sources at rest that are not read to their ends: their files are being looked for.
        self._waiting: set[str] = set()
        self.changed: set[FollowedFile] = set()

    @property
    def finished(self) -> bool:
        """Whether every source is read to its end, or cannot be read."""
        return not self._waiting and all(followed.finished for followed in self.awake.values())

    async def follow(self) -> None:
        """Take up sources that are new to this partition, and follow files that were moved."""
        seen = await self._scan.look()
        if seen is self._seen:
            return
        # Agree before reading: if a file is renamed again meanwhile, other replicas have to know whose it is.
        while moves := await self._take_up(seen):
            await self._scan.agree(moves)
            for source, (old, new) in moves.items():
                if old.path != new.path and self._catalog.locations.of[source] == new:
                    log.info("source was renamed", source=source, before=old.path, now=new.path)
        self._seen = seen

    async def _take_up(self, seen: Seen) -> Moves:
        """Take up every source that is at its location; return where the others have moved."""
        moves: dict[str, tuple[SourceLocation, SourceLocation]] = {}
        for source in sorted(self._catalog.of_partition[self._partition]):
            location = self._catalog.locations.of[source]
            found = seen.at_location(location)
            if found is not None:
                self._locator.note_found(source)
                self._see(source, found)
            elif self._catalog.is_ours(source, seen):
                located = await self._locator.locate(self._progress(source), location, seen)
                if located.is_lost:
                    self._lose(source, location, overwritten=located.is_overwritten)
                if located.location != location:
                    moves[source] = location, located.location
        return moves

    def _see(self, source: str, found: Found) -> None:
        if source in self.files:
            self.files[source].see(found)
            if not self.files[source].is_at_rest:
                self._wake(source)
            return
        followed = self.files[source] = FollowedFile(self._context, found, self._progress(source))
        self._wake(source)
        self._context.check_rejected(followed.progress)
        if source not in self._known:
            self.changed.add(followed)

    def _progress(self, source: str) -> Progress:
        if source in self.files:
            return self.files[source].progress
        return self._known.get(source) or self._context.new_progress(source)

    def _lose(self, source: str, location: SourceLocation, *, overwritten: bool) -> None:
        progress = self._progress(source)
        if source not in self.files and progress.offset and not progress.ended:
            # Report the loss of its rest even if this partition has never seen the file.
            self.files[source] = FollowedFile(self._context, Found(os.fspath(path_of(location.path))), progress)
        if source in self.files:
            self.files[source].lose(overwritten=overwritten)
            self._wake(source)

    def _wake(self, source: str) -> None:
        self.awake[source] = self.files[source]
        self._waiting.discard(source)

    def note_turn(self, source: str) -> None:
        """The source had its turn: let it sleep if there is nothing to look at."""
        if self.awake[source].is_at_rest:
            followed = self.awake.pop(source)
            if not followed.finished:
                self._waiting.add(source)


class PartitionSources:
    """The sources of one partition and the outbox that gathers their rows."""

    def __init__(
        self,
        context: IngestContext,
        scan: Scan,
        partition: TopicPartition,
        transactions: Transactions,
        known: dict[str, Progress],
    ) -> None:
        self._context = context
        self._partition = partition
        self._followed = FollowedSources(context, scan, partition.partition, known)
        self._unpacking = UnpackingTurns()
        self._run: Run | None = None
        self.transactions = transactions
        self._outbox = transactions.outbox()

    @property
    def finished(self) -> bool:
        """Whether every source is read to its end, or cannot be read."""
        return self._followed.finished

    @property
    def outcome(self) -> Outcome:
        """What is to be reported of these sources."""
        outcome = Outcome()
        for name, followed in self._followed.files.items():
            outcome.sources.add(name)
            if followed.trouble:
                outcome.failed[name] = followed.trouble
            outcome.rejected_whole |= {self._context.find_rejected_whole(followed.progress)} - {""}
            outcome.skipped_whole |= {self._context.find_skipped_whole(followed.progress)} - {""}
        return outcome

    def announce(self, run: Run) -> None:
        """Put this state of the run into the next commit."""
        self._run = run

    async def follow(self) -> None:
        """Take up sources that are new to this partition, and follow files that were moved."""
        await self._followed.follow()

    async def take_turn(self, stop: asyncio.Event) -> bool:
        """Let every source put what it has into the outbox, and commit as it fills; False when none had anything."""
        moved = False
        for name, followed in list(self._followed.awake.items()):
            if stop.is_set():
                break
            if not self._is_its_turn(name, followed):
                continue
            if await followed.put_next_rows(self._outbox):
                moved = True
                self._followed.changed.add(followed)
            self._followed.note_turn(name)
            if not self.transactions.busy or self._is_due():
                await self.commit()
        if not moved:
            # Rows that came while a commit was under way would otherwise wait until others come.
            await self.commit()
        return moved

    def _is_its_turn(self, name: str, followed: FollowedFile) -> bool:
        before = self._followed.files.get(earlier(name) or "")
        # The rest of a rotated file precedes the rows of the file that took its name.
        if before is not None and not (before.finished or before.trouble):
            return False
        return not followed.is_packed or self._unpacking.may_unpack(followed)

    def _is_due(self) -> bool:
        return self._outbox.is_due(time.monotonic(), self._context.settings.commit_interval_ms, _OUTBOX_BYTES)

    async def commit(self) -> None:
        """Begin to commit the outbox, with the progress of the sources whose rows it has."""
        changed = self._followed.changed
        if not changed and self._run is None:
            return
        reached = [followed.progress for followed in changed]
        for progress in reached:
            self._put(progress.source.encode(), encode_progress(progress))
        if self._run is not None:
            self._put(RUN_KEY, encode_run(self._run))
            self._run = None
        outbox, self._outbox = self._outbox, self.transactions.outbox()
        changed.clear()
        await self.transactions.commit(outbox)
        try:
            for progress in reached:
                self._context.check_rejected(progress)
        except TooManyRejectedError:
            # The error points to rejected rows, so they have to be committed before it is raised.
            await self.transactions.settle()
            raise

    def _put(self, key: bytes, value: bytes) -> None:
        self._outbox.put(self._partition.topic, self._partition.partition, key, value)
