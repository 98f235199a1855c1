"""The sources of one partition of `progress`: which they are, where their files are, and whose turn it is."""

import asyncio
import time

import structlog
from aiokafka import TopicPartition

from common.errors import TooManyRejectedError
from common.kafka.transaction import Transactions
from common.protocol.progress import RUN_KEY, Progress, Run, encode_progress, encode_run
from services.ingest.context import IngestContext
from services.ingest.files.finding import path_of
from services.ingest.files.reading import MovedError
from services.ingest.followed_file import FollowedFile
from services.ingest.naming.locations import Found, Moves, Seen, SourceLocation, earlier, home_and_number
from services.ingest.scan import Scan

log = structlog.get_logger()

_OUTBOX_BYTES = 4 * 2**20
# Compressed sources that a lane reads at the same time.
_MAX_UNPACKING = 4


class PartitionSources:
    """The sources of one partition and the outbox that their rows are gathered in."""

    def __init__(
        self,
        context: IngestContext,
        scan: Scan,
        partition: TopicPartition,
        transactions: Transactions,
        known: dict[str, Progress],
    ) -> None:
        self._context = context
        self._scan = scan
        self._partition = partition
        self._known = known
        self._seen: Seen | None = None
        # When a source's file was first not seen.
        self._missed_at: dict[str, float] = {}
        self._sources: dict[str, FollowedFile] = {}
        # Those that are not at rest: of ten thousand files few are.
        self._awake: dict[str, FollowedFile] = {}
        # Of the others, those that are not read to their ends: their files are being looked for.
        self._waiting: set[str] = set()
        self._touched: set[FollowedFile] = set()
        self._run: Run | None = None
        self._unpacking: set[FollowedFile] = set()
        self.transactions = transactions
        self._outbox = transactions.outbox()

    @property
    def finished(self) -> bool:
        """Whether every source is read to its end, or cannot be read."""
        return not self._waiting and all(source.finished for source in self._awake.values())

    @property
    def failed(self) -> dict[str, str]:
        """The sources that cannot be read, and why."""
        return {name: source.trouble for name, source in self._sources.items() if source.trouble}

    @property
    def rejected_whole(self) -> set[str]:
        """A line for each source of which every row was rejected, where that may not be."""
        return {self._context.find_rejected_whole(source.progress) for source in self._sources.values()} - {""}

    @property
    def skipped_whole(self) -> set[str]:
        """A line for each source that SKIP_LINES leaves nothing of."""
        return {self._context.find_skipped_whole(source.progress) for source in self._sources.values()} - {""}

    @property
    def sources(self) -> set[str]:
        """The names of those that it reads."""
        return set(self._sources)

    def say(self, run: Run) -> None:
        """Let the next commit say this of the run."""
        self._run = run

    async def follow(self) -> None:
        """Take up the sources that belong to this lane and are new to it, and go after the files that were moved."""
        seen = await self._scan.look()
        if seen is self._seen:
            return
        # Agreed first, then read: of a file that was renamed again meanwhile, another replica has to know whose it is.
        while moves := await self._take_up(seen):
            await self._scan.settle(moves)
            for source, (old, new) in moves.items():
                if old.path != new.path and self._scan.locations.of[source] == new:
                    log.info("source was renamed", source=source, before=old.path, now=new.path)
        self._seen = seen

    async def _take_up(self, seen: Seen) -> Moves:
        """See to every source that is where it was; return the locations of the others, old and new."""
        moves: dict[str, tuple[SourceLocation, SourceLocation]] = {}
        for source in sorted(self._scan.of_partition[self._partition.partition]):
            location = self._scan.locations.of[source]
            found = seen.at_location(location)
            if found is not None:
                self._missed_at.pop(source, None)
                self._see(source, found)
            elif not self._scan.is_ours(source, seen):
                continue
            elif (new := await self._new_location(source, location, seen)) != location:
                moves[source] = location, new
        return moves

    def _see(self, source: str, found: Found) -> None:
        if source in self._sources:
            self._sources[source].see(found)
            if not self._sources[source].is_at_rest:
                self._wake(source)
            return
        followed = self._sources[source] = FollowedFile(self._context, found, self._progress(source))
        self._wake(source)
        self._context.check_rejected(followed.progress)
        if source not in self._known:
            self._touched.add(followed)

    def _wake(self, source: str) -> None:
        self._awake[source] = self._sources[source]
        self._waiting.discard(source)

    def _progress(self, source: str) -> Progress:
        if source in self._sources:
            return self._sources[source].progress
        return self._known.get(source) or self._context.new_progress(source)

    async def _new_location(self, source: str, location: SourceLocation, seen: Seen) -> SourceLocation:
        """Where a source is whose file is no longer at its location."""
        if not location.file and location.path not in seen.files:
            return location
        followed = self._sources.get(source) or FollowedFile(
            self._context, Found(path_of(location.path)), self._progress(source)
        )
        home, _ = home_and_number(source)
        is_another = False
        for path, found in seen.elsewhere(location):
            # Of a file that INPUT does not name something has to have been read, or its name has to tell.
            is_ours = path in seen.files or location.file in seen.moved
            if not (is_ours or followed.progress.offset or path.startswith(home)):
                continue
            try:
                is_this = await asyncio.to_thread(followed.is_this, found)
            except (FileNotFoundError, MovedError):
                # It was renamed again: the next look tells.
                return location
            except OSError:
                # Who reads on tells what is wrong with it.
                is_this = True
            if is_this:
                return SourceLocation(path, location.file)
            is_another = True
        # One look may miss a file that is renamed meanwhile under all of its names. With ONCE there is no other.
        missed_before = seen.at > self._missed_at.setdefault(source, seen.at) or self._context.settings.once
        is_gone = is_another or not location.file or (missed_before and not self._scan.is_blind_to(location.path))
        at_path = seen.files.get(location.path)
        if not is_gone:
            return location
        if at_path is not None and self._scan.locations.may_take(source, location.path, at_path.file):
            # The same source, written anew, or another file under its name: reading on tells.
            return SourceLocation(location.path, at_path.file)
        is_other = at_path is not None and bool(at_path.file)
        # Under a name that INPUT does not have, no look tells what is there now.
        is_other = is_other or await asyncio.to_thread(self._scan.is_outside, location.path)
        self._lose(source, followed, overwritten=is_other)
        return SourceLocation(location.path)

    def _lose(self, source: str, followed: FollowedFile, *, overwritten: bool) -> None:
        followed.lose(overwritten=overwritten)
        if followed.progress.offset and not followed.progress.ended:
            # Also where this lane has not seen the file: what was not read of it is lost, and that has to be said.
            self._sources[source] = followed
        if source in self._sources:
            self._wake(source)

    async def take_turn(self, stop: asyncio.Event) -> bool:
        """Let every source put what it has into the outbox, and commit as it fills; False when none had anything."""
        moved = False
        for name, source in list(self._awake.items()):
            if stop.is_set():
                break
            if not self._is_its_turn(name, source):
                continue
            if await source.put_next_rows(self._outbox):
                moved = True
                self._touched.add(source)
            if source.is_at_rest:
                del self._awake[name]
                if not source.finished:
                    self._waiting.add(name)
            if not self.transactions.busy or self._is_due():
                await self.commit()
        if not moved:
            # What came while a commit was under way, if nothing has come since.
            await self.commit()
        return moved

    def _is_its_turn(self, name: str, source: FollowedFile) -> bool:
        before = self._sources.get(earlier(name) or "")
        # What is left of a rotated file comes before the rows of the one that took its name.
        if before is not None and not (before.finished or before.trouble):
            return False
        return not source.is_packed or self._may_unpack(source)

    def _may_unpack(self, source: FollowedFile) -> bool:
        """Whether it is this source's turn: what an unpacker holds may be much, and files may be thousands."""
        self._unpacking = {other for other in self._unpacking if other.is_unpacking}
        if len(self._unpacking) < _MAX_UNPACKING:
            self._unpacking.add(source)
        return source in self._unpacking

    def _is_due(self) -> bool:
        return self._outbox.is_due(time.monotonic(), self._context.settings.commit_interval_ms, _OUTBOX_BYTES)

    async def commit(self) -> None:
        """Begin to commit what is gathered, with the progress of the sources that gave it."""
        if not self._touched and self._run is None:
            return
        moved = [source.progress for source in self._touched]
        for progress in moved:
            value = encode_progress(progress)
            self._outbox.put(self._partition.topic, self._partition.partition, progress.source.encode(), value)
        if self._run is not None:
            self._outbox.put(self._partition.topic, self._partition.partition, RUN_KEY, encode_run(self._run))
            self._run = None
        outbox, self._outbox = self._outbox, self.transactions.outbox()
        self._touched.clear()
        await self.transactions.commit(outbox)
        try:
            for progress in moved:
                self._context.check_rejected(progress)
        except TooManyRejectedError:
            # Whoever is told of them has to find them.
            await self.transactions.settle()
            raise
