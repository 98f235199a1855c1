"""Looking at the input, for all partitions at once, and agreeing with other replicas which file is which source."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from services.ingest.catalog import Catalog
from services.ingest.files.finding import (
    Input,
    find_files,
    find_filter,
    find_moved,
    look_at,
    look_beside,
    may_name,
)
from services.ingest.files.input_log import InputLog
from services.ingest.files.watching import FolderWatch
from services.ingest.naming.locations import FoundFile, InputSnapshot, Moved, Moves
from services.ingest.settings import IngestSettings

log = structlog.get_logger()

# A folder that is listed while a file in it is renamed may show neither of its names.
_MOST_LOOKS = 3


class LookPace(Struct, frozen=True):
    """How often to look at the input, in seconds, and what share of the time looking may take at most."""

    interval_s: float = 1.0
    # Where inotify reports changes: at once when names have changed, and seldom when nothing has.
    least_interval_s: float = 0.02
    resting_interval_s: float = 30.0
    resting_share: float = 0.005
    # Looking at tens of thousands of files takes longer, and is then done less often.
    looking_share: float = 0.1


class _Cost(Struct, frozen=True):
    """What a look took, by the clock and of a core: other processes' load is no reason to look less often."""

    took_s: float = 0.0
    cpu_s: float = 0.0


_PACE = LookPace()


class Scan:
    """The files that INPUT names and the sources that they are.

    With ONCE nothing is watched, and behind the first look others come only when they are asked for.
    """

    def __init__(self, settings: IngestSettings, catalog: Catalog, pace: LookPace = _PACE) -> None:
        self._settings = settings
        self.catalog = catalog
        self._pace = pace
        self._lock = asyncio.Lock()
        self._seen: InputSnapshot | None = None
        self._looking: asyncio.Future[tuple[InputSnapshot, Input]] | None = None
        self._cost = _Cost()
        self._watch: FolderWatch | None = None if settings.once else FolderWatch(find_filter(settings.input))
        # Whether the latest look missed any source's file.
        self._missed = False
        # Links to files elsewhere, where nothing is watched.
        self._links: Sequence[str] = ()
        self._links_asked_at = 0.0
        # Path and file of each second name of a file.
        self._second_names: set[tuple[str, str]] = set()
        self._input_log = InputLog()

    @property
    def failed(self) -> Mapping[str, str]:
        """The folders that cannot be looked into, and why."""
        return self._input_log.failed

    async def look(self) -> InputSnapshot:
        """The input as a recent look saw it, with every file named as a source."""
        async with self._lock:
            # Not a second one beside one whose caller was cancelled: both would take in what has happened.
            if self._looking is not None or self._seen is None or self._is_due(self._seen):
                seen, found = await self._look_once_begun()
                self._input_log.log_input(found)
                # Where files leave, none is there whenever all are done.
                is_news = self._seen is None or (bool(self._seen.files) and self._settings.action.keeps)
                if not seen.files and is_news:
                    log.warning("no input yet: no *.csv file there", input=self._settings.input)
                self._links = found.links
                is_moved_known = all(self.catalog.locations.source_of(file) is not None for file in seen.moved)
                if not self._is_agreed(seen) or not is_moved_known:
                    await self.catalog.read()
                    await self.catalog.agree(seen, {})
                self._log_second_names(seen)
                # Look again soon until another replica has said which source each file is.
                self._missed |= not self._is_agreed(seen)
                self._seen = seen
            return self._seen

    async def _let_look_end(self) -> None:
        """Wait for a look whose caller was cancelled: it reads, in its thread, what is about to change."""
        if self._looking is not None:
            await asyncio.wait([self._looking])

    async def _look_once_begun(self) -> tuple[InputSnapshot, Input]:
        # A look whose caller was cancelled goes on for the next caller: it alone knows what was renamed before it.
        looking = self._looking = self._looking or asyncio.ensure_future(asyncio.to_thread(self._look))
        try:
            return await asyncio.shield(looking)
        finally:
            if looking.done():
                self._looking = None

    def _is_due(self, seen: InputSnapshot) -> bool:
        """Whether to look again."""
        if self._settings.once or self._watch is None:
            return False
        self._watch.read()
        pace, since_s = self._pace, time.monotonic() - seen.at
        least_s = self._cost.cpu_s / pace.looking_share
        if self._watch.trouble:
            return since_s >= max(pace.interval_s, self._cost.took_s / pace.looking_share)
        if self._watch.names_changed:
            return since_s >= max(pace.least_interval_s, least_s)
        if self._watch.contents_changed or self._missed or self.failed:
            return since_s >= max(pace.interval_s, least_s)
        if since_s >= max(pace.resting_interval_s, self._cost.cpu_s / pace.resting_share):
            return True
        return since_s >= least_s and (self._watch.has_other_folders() or self._has_other_links(seen))

    def _has_other_links(self, seen: InputSnapshot) -> bool:
        now = time.monotonic()
        if now < self._links_asked_at + max(self._pace.interval_s, self._cost.cpu_s / self._pace.looking_share):
            return False
        self._links_asked_at = now
        before = {name: seen.files[name] for name in self._links if name in seen.files}
        return look_at({name: Path(found.path) for name, found in before.items()}) != before

    async def refresh(self, since: float) -> None:
        """Catch up with what other replicas had agreed on by `since` (time.monotonic)."""
        async with self._lock:
            await self._let_look_end()
            if self.catalog.read_at < since:
                await self.catalog.read()
            if self._seen is not None and self._seen.at < since:
                # With ONCE too: another replica, whose partitions these were, may have seen more.
                self._seen = None

    async def agree(self, moves: Moves) -> None:
        """Agree that these sources have moved; files that this leaves free become sources."""
        async with self._lock:
            await self._let_look_end()
            has_new = await self.catalog.agree(self._seen or InputSnapshot(), moves)
            if has_new and self._seen is not None:
                # A new object makes every partition take up sources again: one of the new ones may be theirs.
                self._seen = replace(self._seen)

    def _is_agreed(self, seen: InputSnapshot) -> bool:
        return all(self._is_known(path, found) for path, found in seen.files.items())

    def _is_known(self, path: str, found: FoundFile) -> bool:
        # The inode of a file that has left may be a new file's by now.
        is_source = self.catalog.locations.source_of(found.file) is not None
        return (is_source and (path, found.file) in self._second_names) or self.catalog.is_at(path, found)

    def is_outside(self, path: str) -> bool:
        """Whether there is a file at this path, and INPUT does not name it."""
        return not may_name(self._settings.input, path) and Path(path).is_file()

    def is_blind_to(self, path: str) -> bool:
        """Whether this path is in a folder that cannot be looked into."""
        return any(path.startswith(f"{folder}/") for folder in self.failed)

    def _look(self) -> tuple[InputSnapshot, Input]:
        began_at, cpu_s = time.monotonic(), time.thread_time()
        for _ in range(_MOST_LOOKS):
            seen, found, missed = _look_once(self._settings, self._watch, self.catalog)
            if not missed:
                break
        self._missed = missed
        self._cost = _Cost(time.monotonic() - began_at, time.thread_time() - cpu_s)
        if self._watch is not None:
            self._input_log.log_watch(self._watch, self._settings.input, {*seen.files, *found.left_out})
        return seen, found

    def _log_second_names(self, seen: InputSnapshot) -> None:
        for path, found in seen.files.items():
            source = self.catalog.locations.source_of(found.file)
            if source is None or (path, found.file) in self._second_names:
                continue
            location = self.catalog.locations.of[source]
            if location.path != path and seen.at_location(location) is not None:
                self._second_names.add((path, found.file))
                log.warning("a second name of one file: it is read once", path=path, source=source)


def _look_once(
    settings: IngestSettings, watch: FolderWatch | None, catalog: Catalog
) -> tuple[InputSnapshot, Input, bool]:
    """What is there now, and whether any source's file is missing."""
    at, given, folder = time.monotonic(), settings.input, settings.delivered_folder
    # A single file may have been delivered, and have left.
    may_be_gone = not settings.action.keeps and catalog.is_known(given)
    if watch is None:
        named = find_files(given, without=folder, may_be_gone=may_be_gone)
    else:
        watch.read()
        watch.begin()
        named = find_files(given, watch.enter, folder, may_be_gone=may_be_gone)
    files = look_at(named.files)
    by_file: dict[str, str] = {}
    for path, found in files.items():
        if found.file:
            by_file.setdefault(found.file, path)
    locations = [catalog.locations.of[source] for source in catalog.named]
    lost = {each.file: each.path for each in locations if each.file and each.file not in by_file}
    beside = look_beside(lost)
    moved: dict[str, Moved] = {}
    if watch is not None:
        found_moved = find_moved(given, watch.renames, watch.read, catalog.excluded)
        _drop_left(files, by_file, found_moved)
        moved = {file: each for file, each in found_moved.items() if file not in by_file}
        if unsettled := watch.renames.first_unsettled():
            # A new file with such a name has to wait until the one that left the name is known.
            files = {
                path: found
                for path, found in files.items()
                if found.path not in unsettled or catalog.locations.source_of(found.file) is not None
            }
            watch.names_changed = True
    beside |= {file: (each.path, each.found) for file, each in moved.items()}
    seen = InputSnapshot(at, files, beside, by_file, moved, named.aside)
    return seen, named, len(beside.keys() & lost.keys()) < len(lost)


def _drop_left(files: dict[str, FoundFile], by_file: dict[str, str], moved: Mapping[str, Moved]) -> None:
    """Drop listed files that have left their names since: it was seen where they went, and others may be there now."""
    left = {file: by_file[file] for file in moved.keys() & by_file.keys()}
    still = look_at({path: Path(files[path].path) for path in left.values()})
    for file, path in left.items():
        if path not in still or still[path].file != file:
            del files[path], by_file[file]
