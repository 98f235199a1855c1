"""What replicas agree on: which file is which source, and where it was seen last. Kept in the topic `sources`."""

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from common.batches.record_runs import Record, key_of
from common.errors import ServiceError
from common.kafka.fenced_topic import FencedTopic, KeyValue
from common.pipeline.topics import Topics
from common.protocol.partitioner import partition_for
from services.ingest.after_delivery import excluded_name
from services.ingest.files.finding import may_name, source_name
from services.ingest.naming.locations import (
    FoundFile,
    InputSnapshot,
    Moves,
    SourceLocation,
    SourceLocations,
    decode_location,
    encode_location,
    home_and_number,
)
from services.ingest.settings import IngestSettings


class AgreedTopic(Protocol):
    """A topic that replicas write to one at a time, as FencedTopic does."""

    async def read(self) -> None:
        """Take in what others have written."""

    async def append(self, decide: Callable[[], Sequence[KeyValue]]) -> Sequence[KeyValue]:
        """Take in what others have written, then write what `decide` returns; return that."""


OpenTopic = Callable[[IngestSettings, str, Callable[[Sequence[Record]], None]], AgreedTopic]


class Catalog:
    """The sources and their locations. `of_partition` has the sources of each partition of `progress`.

    `excluded` is the folder in which nothing is input, or "".
    """

    def __init__(self, settings: IngestSettings, topics: Topics, open_topic: OpenTopic = FencedTopic) -> None:
        self._settings = settings
        self.excluded = excluded_name(settings)
        self._name = topics.sources
        self._topic = open_topic(settings, topics.sources, self._take)
        self.read_at = -1.0
        self.locations = SourceLocations()
        # The sources that INPUT names.
        self.named: set[str] = set()
        # Files that have left INPUT, and when that was learned (time.monotonic): a look before may still show them.
        self._left: dict[str, float] = {}
        # A source belongs to the partition that the path it is named after hashes to.
        self.of_partition: list[set[str]] = [set() for _ in range(settings.partitions)]

    async def read(self) -> None:
        """Catch up with what other replicas have agreed on."""
        at = time.monotonic()
        await self._topic.read()
        self.read_at = at

    async def agree(self, seen: InputSnapshot, moves: Moves) -> bool:
        """Agree that these sources have moved, and that new files become sources; return whether any does."""
        self._left = {file: at for file, at in self._left.items() if at >= seen.at}
        if not moves and not self._new_sources(self.locations, seen, set(self._left)):
            return False
        known = set(self.locations.of)
        for key, value in await self._topic.append(partial(self._decide, seen, moves)):
            self._put(key.decode(), decode_location(value))
        return self.locations.of.keys() != known

    def _decide(self, seen: InputSnapshot, moves: Moves) -> list[KeyValue]:
        after, moved = self.locations.with_moves(moves)
        leaving = {old.file for old, new in moves.values() if _has_left(old, new)}
        changed = moved | self._new_sources(after, seen, leaving.union(self._left))
        return [(source.encode(), encode_location(location)) for source, location in changed.items()]

    def _new_sources(
        self, locations: SourceLocations, seen: InputSnapshot, left: Collection[str]
    ) -> dict[str, SourceLocation]:
        """Names for the files of a look that are no source yet, and that have not left since."""
        if not left:
            return locations.new_sources(seen.files, seen.moved)
        files = {path: found for path, found in seen.files.items() if found.file not in left}
        return locations.new_sources(files, {file: each for file, each in seen.moved.items() if file not in left})

    def is_ours(self, source: str, seen: InputSnapshot) -> bool:
        """Whether this INPUT covers the source, which may stem from another INPUT."""
        return source in self.named or self.locations.of[source].file in seen.by_file

    def is_known(self, given: str) -> bool:
        """Whether INPUT is a file that some source was named after."""
        return source_name(Path(given)) in self.locations.of

    def is_at(self, path: str, found: FoundFile) -> bool:
        """Whether replicas have agreed which source a file is, and that it is at this path."""
        if not found.file:
            return self.locations.holds(path)
        source = self.locations.source_of(found.file)
        return source is not None and self.locations.of[source].path == path

    def _take(self, records: Sequence[Record]) -> None:
        try:
            locations = {key_of(record).decode(): decode_location(record.value) for record in records}
        except ValueError as error:
            raise ServiceError(f"topic {self._name}: a record is {error}") from None
        for source, location in locations.items():
            self._put(source, location)

    def _put(self, source: str, location: SourceLocation) -> None:
        if source not in self.locations.of:
            home, _ = home_and_number(source)
            if may_name(self._settings.input, home, self.excluded):
                self.named.add(source)
            self.of_partition[partition_for(home.encode(), self._settings.partitions)].add(source)
        before = self.locations.of.get(source)
        if before is not None and _has_left(before, location):
            self._left[before.file] = time.monotonic()
        self.locations.put(source, location)


def _has_left(old: SourceLocation, new: SourceLocation) -> bool:
    """Whether a source's file left INPUT. A lost one keeps its path: what is there now may be its own, rewritten."""
    return bool(old.file) and not new.file and new.path != old.path
