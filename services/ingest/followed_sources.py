"""The files of a partition's sources: followed while they move, awake while there is something to read."""

import asyncio
import os
import time

import structlog
from msgspec.structs import replace

from common.pipeline.completion import Waiting
from common.protocol.progress import Departure, Progress
from services.ingest.context import IngestContext
from services.ingest.files.finding import path_of
from services.ingest.followed_file import FollowedFile
from services.ingest.locating import Locator
from services.ingest.naming.locations import FoundFile, InputSnapshot, Moves, SourceLocation
from services.ingest.scan import Scan

log = structlog.get_logger()

_MISSED_INTERVAL_S = 0.02


class FollowedSources:
    """The files of a partition's sources: followed while they move, awake while there is something to read.

    `changed` are those whose progress the next commit has to hold, `departing` those whose files are on their way out
    of INPUT: they are not followed. `missed` are those whose files the latest look did not find where they are.
    """

    def __init__(self, context: IngestContext, scan: Scan, partition: int, known: dict[str, Progress]) -> None:
        self._context = context
        self._scan = scan
        self._catalog = scan.catalog
        self._partition = partition
        self._known = known
        self._locator = Locator(context, scan)
        self._seen: InputSnapshot | None = None
        self.files: dict[str, FollowedFile] = {}
        # The files that are not at rest: few of ten thousand.
        self.awake: dict[str, FollowedFile] = {}
        # Sources at rest that are not read to their ends: their files are being looked for.
        self._waiting: set[str] = set()
        self.changed: set[str] = set()
        self.departing: set[str] = set()
        self.missed: set[str] = set()

    @property
    def finished(self) -> bool:
        """Whether every source is read to its end, or cannot be read."""
        return not self._waiting and all(followed.finished for followed in self.awake.values())

    def is_done(self, source: str) -> bool:
        """Whether nothing more is to be read of the source for now, or nothing can be."""
        followed = self.files.get(source)
        return source not in self.missed if followed is None else followed.finished or bool(followed.trouble)

    @property
    def names(self) -> set[str]:
        """Every source of the partition that is known to have a file, or to have had one."""
        return self._catalog.of_partition[self._partition]

    @property
    def known(self) -> dict[str, Progress]:
        """What was known of the sources at the beginning, and of those whose files have left since."""
        return self._known

    @property
    def seen(self) -> InputSnapshot | None:
        """The look at the input that all sources are taken up from."""
        return self._seen

    def progress(self, source: str) -> Progress:
        """How far the source is read, the current outbox included."""
        if source in self.files:
            return self.files[source].progress
        return self._known.get(source) or self._context.new_progress(source)

    def count_bytes(self) -> tuple[int, int]:
        """How many bytes are read of the files that are under way, and how many they have. Any thread may ask."""
        under_way = [followed for followed in list(self.awake.values()) if not followed.finished]
        return sum(min(each.read_bytes, each.size) for each in under_way), sum(each.size for each in under_way)

    def record(self, source: str, departure: Departure | None) -> None:
        """Let the next commit hold how far the source's file has left."""
        if source in self.files:
            self.files[source].record(departure)
        else:
            self._known[source] = replace(self.progress(source), departure=departure)
        self.changed.add(source)

    def stay(self, source: str) -> None:
        """The source's file is not on its way out any more: follow it."""
        self.departing.discard(source)
        # What a look has seen is taken up again.
        self._seen = None

    def release(self, source: str) -> None:
        """The source's file has left."""
        self.departing.discard(source)
        if self._context.settings.once:
            # It is part of what the run reports.
            return
        # There may be ever more of them.
        if (followed := self.files.pop(source, None)) is not None:
            self._known[source] = followed.progress
        self.awake.pop(source, None)
        self._waiting.discard(source)

    async def follow(self) -> None:
        """Take up sources that are new to this partition, and follow files that were moved."""
        seen = await self._scan.look()
        if seen is self._seen:
            return
        await self._follow(seen)
        waiting = Waiting()
        while self.missed and self._context.settings.once:
            # There will be no other look by itself.
            waiting.on(f"files are renamed each time they are looked at: {min(self.missed)}")
            await asyncio.sleep(_MISSED_INTERVAL_S)
            await self._scan.refresh(time.monotonic())
            await self._follow(await self._scan.look())

    async def _follow(self, seen: InputSnapshot) -> None:
        # Agree before reading: if a file is renamed again meanwhile, other replicas have to know whose it is.
        while moves := await self._take_up(seen):
            await self._scan.agree(moves)
            for source, (old, new) in moves.items():
                if old.path != new.path and self._catalog.locations.of[source] == new:
                    log.info("source was renamed", source=source, before=old.path, now=new.path)
        self._seen = seen

    async def _take_up(self, seen: InputSnapshot) -> Moves:
        """Take up every source that is at its location; return where the others have moved."""
        moves: dict[str, tuple[SourceLocation, SourceLocation]] = {}
        self.missed.clear()
        for source in sorted(self._catalog.of_partition[self._partition]):
            if source in self.departing:
                continue
            location = self._catalog.locations.of[source]
            found = seen.at_location(location)
            if found is not None:
                self._locator.note_found(source)
                self._see(source, found)
            elif self._catalog.is_ours(source, seen):
                located = await self._locator.locate(self.progress(source), location, seen)
                if located.is_missed:
                    self.missed.add(source)
                if located.is_lost:
                    self._lose(source, location, overwritten=located.is_overwritten)
                if located.location != location:
                    moves[source] = location, located.location
        return moves

    def _see(self, source: str, found: FoundFile) -> None:
        if source in self.files:
            self.files[source].see(found)
            if not self.files[source].is_at_rest:
                self._wake(source)
            return
        followed = self.files[source] = FollowedFile(self._context, found, self.progress(source))
        self._wake(source)
        self._context.check_rejected(followed.progress)
        if source not in self._known:
            self.changed.add(source)

    def _lose(self, source: str, location: SourceLocation, *, overwritten: bool) -> None:
        progress = self.progress(source)
        if source not in self.files and progress.offset and not progress.ended:
            # Report the loss of its rest even if this partition has never seen the file.
            self.files[source] = FollowedFile(self._context, FoundFile(os.fspath(path_of(location.path))), progress)
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
