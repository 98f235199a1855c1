"""Looking at the input, for all partitions at once, and agreeing with other replicas which file is which source."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from common.batches.record_runs import Record
from common.errors import ServiceError
from common.kafka.fenced_topic import Entry, FencedTopic
from common.pipeline.topics import Topics
from common.protocol.partitioner import partition_for
from services.ingest.files.finding import (
    Input,
    find_files,
    find_filter,
    find_moved,
    look_at,
    look_beside,
    may_name,
)
from services.ingest.files.input_log import Told
from services.ingest.files.watching import Watch
from services.ingest.naming.locations import (
    Found,
    Moved,
    Place,
    Places,
    Seen,
    decode_place,
    encode_place,
    home_and_number,
)
from services.ingest.settings import IngestSettings

log = structlog.get_logger()

_SCAN_INTERVAL_S = 1.0
# Where inotify tells of changes: at once when names have changed, and seldom when nothing has.
_LEAST_INTERVAL_S = 0.02
_RESTING_INTERVAL_S = 30.0
_RESTING_SHARE = 0.005
# Looking at tens of thousands of files takes longer, and then comes less often: a tenth of the time is enough.
_LOOKING_SHARE = 0.1
# A folder that is listed while a file in it is renamed may show neither of its names.
_MOST_LOOKS = 3

# Sources with their old and new places.
Moves = dict[str, tuple[Place, Place]]


class Scan:
    """The files that INPUT names and the sources that they are; with ONCE looked up a single time."""

    def __init__(self, settings: IngestSettings, topics: Topics) -> None:
        self._settings = settings
        self._name = topics.sources
        self._topic = FencedTopic(settings, topics.sources, self._take)
        self._lock = asyncio.Lock()
        self._seen: Seen | None = None
        self._looking: asyncio.Future[tuple[Seen, Input]] | None = None
        # The latest look, by the clock, and what it cost of a core: the load of others is no reason to look less often.
        self._took_s = self._cost_s = 0.0
        self._watch: Watch | None = None if settings.once else Watch(find_filter(settings.input))
        # Whether the latest look missed any source's file.
        self._missed = False
        # What lies elsewhere, where nobody watches.
        self._links: Sequence[str] = ()
        self._asked_at = 0.0
        self._read_at = -1.0
        # Second names of files, with the files.
        self._told: set[tuple[str, str]] = set()
        self._told_of_input = Told()
        self._named: set[str] = set()
        self.places = Places()
        # The sources of each partition of `progress`, by the path that they are named after.
        self.of_partition: list[set[str]] = [set() for _ in range(settings.partitions)]

    @property
    def failed(self) -> Mapping[str, str]:
        """The folders that cannot be looked into, and why."""
        return self._told_of_input.failed

    async def look(self) -> Seen:
        """The input as it was a moment ago, every file of it named as a source."""
        async with self._lock:
            if self._seen is None or self._is_due(self._seen):
                seen, found = await self._look_once_begun()
                self._told_of_input.tell(found)
                if not seen.files and (self._seen is None or self._seen.files):
                    log.warning("no input yet: no *.csv file there", input=self._settings.input)
                self._links = found.links
                is_settled = all(self._is_settled(path, found) for path, found in seen.files.items())
                if not is_settled or any(self.places.source_of(file) is None for file in seen.moved):
                    await self._read()
                    await self._settle(seen, {})
                self._tell_second_names(seen)
                # Until another replica has said which source it is.
                self._missed |= not all(self._is_settled(path, found) for path, found in seen.files.items())
                self._seen = seen
            return self._seen

    async def _look_once_begun(self) -> tuple[Seen, Input]:
        # One that nobody waits for any more goes on, and is the next caller's: of what was renamed it alone knows.
        looking = self._looking = self._looking or asyncio.ensure_future(asyncio.to_thread(self._look))
        try:
            return await asyncio.shield(looking)
        finally:
            if looking.done():
                self._looking = None

    def _is_due(self, seen: Seen) -> bool:
        """Whether to look again."""
        if self._settings.once or self._watch is None:
            return False
        self._watch.read()
        since_s, least_s = time.monotonic() - seen.at, self._cost_s / _LOOKING_SHARE
        if self._watch.trouble:
            return since_s >= max(_SCAN_INTERVAL_S, self._took_s / _LOOKING_SHARE)
        if self._watch.names_changed:
            return since_s >= max(_LEAST_INTERVAL_S, least_s)
        if self._watch.contents_changed or self._missed or self.failed:
            return since_s >= max(_SCAN_INTERVAL_S, least_s)
        if since_s >= max(_RESTING_INTERVAL_S, self._cost_s / _RESTING_SHARE):
            return True
        return since_s >= least_s and (self._watch.has_other_folders() or self._has_other_links(seen))

    def _has_other_links(self, seen: Seen) -> bool:
        now = time.monotonic()
        if now < self._asked_at + max(_SCAN_INTERVAL_S, self._cost_s / _LOOKING_SHARE):
            return False
        self._asked_at = now
        before = {name: seen.files[name] for name in self._links if name in seen.files}
        return look_at({name: found.path for name, found in before.items()}) != before

    async def refresh(self, since: float) -> None:
        """Know what other replicas agreed on until `since`, of time.monotonic."""
        async with self._lock:
            if self._read_at < since:
                await self._read()
            if self._seen is not None and self._seen.at < since:
                # With ONCE too: another replica, whose partitions these were, may have seen more.
                self._seen = None

    async def settle(self, moves: Moves) -> None:
        """Agree that these sources are at new places, each (old, new); files that this leaves free become sources."""
        async with self._lock:
            if self._seen is not None and await self._settle(self._seen, moves):
                # Another look for every partition: one of the new sources may be theirs.
                self._seen = replace(self._seen)

    def _is_settled(self, path: str, found: Found) -> bool:
        """Whether it is known which source a file is, and that it is at this path."""
        if (path, found.file) in self._told:
            return True
        if not found.file:
            return self.places.holds(path)
        source = self.places.source_of(found.file)
        return source is not None and self.places.of[source].path == path

    async def _settle(self, seen: Seen, moves: Moves) -> bool:
        """Whether any source is new."""
        if not moves and not self.places.new_sources(seen.files, seen.moved):
            return False
        known = set(self.places.of)
        for key, value in await self._topic.append(partial(self._decide, seen, moves)):
            self._put(key.decode(), decode_place(value))
        return self.places.of.keys() != known

    def _decide(self, seen: Seen, moves: Moves) -> list[Entry]:
        after, moved = self.places.with_moves(moves)
        changed = moved | after.new_sources(seen.files, seen.moved)
        return [(source.encode(), encode_place(place)) for source, place in changed.items()]

    async def _read(self) -> None:
        at = time.monotonic()
        await self._topic.read()
        self._read_at = at

    def is_ours(self, source: str, seen: Seen) -> bool:
        """Whether this INPUT is about the source: another one may have been before."""
        return source in self._named or self.places.of[source].file in seen.by_file

    def is_outside(self, path: str) -> bool:
        """Whether there is a file under this path, and INPUT does not name it."""
        return not may_name(self._settings.input, path) and Path(path).is_file()

    def is_blind_to(self, path: str) -> bool:
        """Whether this path is in a folder that cannot be looked into."""
        return any(path.startswith(f"{folder}/") for folder in self.failed)

    def _take(self, records: Sequence[Record]) -> None:
        try:
            places = {record.key.decode(): decode_place(record.value) for record in records}
        except ValueError as error:
            raise ServiceError(f"topic {self._name}: a record is {error}") from None
        for source, place in places.items():
            self._put(source, place)

    def _put(self, source: str, place: Place) -> None:
        if source not in self.places.of:
            home, _ = home_and_number(source)
            if may_name(self._settings.input, home):
                self._named.add(source)
            self.of_partition[partition_for(home.encode(), self._settings.partitions)].add(source)
        self.places.put(source, place)

    def _look(self) -> tuple[Seen, Input]:
        began_at, cost_s = time.monotonic(), time.thread_time()
        for _ in range(_MOST_LOOKS):
            seen, found, missed = self._look_once()
            if not missed:
                break
        self._missed = missed
        self._took_s, self._cost_s = time.monotonic() - began_at, time.thread_time() - cost_s
        if self._watch is not None:
            self._told_of_input.tell_watch(self._watch, self._settings.input, {*seen.files, *found.left_out})
        return seen, found

    def _look_once(self) -> tuple[Seen, Input, bool]:
        """What is there now, and whether any source's file is not."""
        at = time.monotonic()
        if self._watch is None:
            named = find_files(self._settings.input)
        else:
            self._watch.read()
            self._watch.begin()
            named = find_files(self._settings.input, self._watch.enter)
        files = look_at(named.files)
        by_file: dict[str, str] = {}
        for path, found in files.items():
            if found.file:
                by_file.setdefault(found.file, path)
        places = [self.places.of[source] for source in self._named]
        lost = {place.file: place.path for place in places if place.file and place.file not in by_file}
        beside = look_beside(lost)
        moved: dict[str, Moved] = {}
        if self._watch is not None:
            found_moved = find_moved(self._settings.input, self._watch.renames, self._watch.read)
            moved = {file: each for file, each in found_moved.items() if file not in by_file}
        beside |= {file: (each.path, each.found) for file, each in moved.items()}
        return Seen(at, files, beside, by_file, moved), named, len(beside.keys() & lost.keys()) < len(lost)

    def _tell_second_names(self, seen: Seen) -> None:
        for path, found in seen.files.items():
            source = self.places.source_of(found.file)
            if source is None or (path, found.file) in self._told:
                continue
            place = self.places.of[source]
            if place.path != path and seen.at_place(place) is not None:
                self._told.add((path, found.file))
                log.warning("a second name of one file: it is read once", path=path, source=source)
