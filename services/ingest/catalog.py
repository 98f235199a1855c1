"""What replicas agree on: which file is which source, and where it was seen last. Kept in the topic `sources`."""

import time
from collections.abc import Callable, Sequence
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
    Found,
    Moves,
    Seen,
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
    """The sources and their locations. `of_partition` has the sources of each partition of `progress`."""

    def __init__(self, settings: IngestSettings, topics: Topics, open_topic: OpenTopic = FencedTopic) -> None:
        self._settings = settings
        self._excluded = excluded_name(settings)
        self._name = topics.sources
        self._topic = open_topic(settings, topics.sources, self._take)
        self.read_at = -1.0
        self.locations = SourceLocations()
        # The sources that INPUT names.
        self.named: set[str] = set()
        # A source belongs to the partition that the path it is named after hashes to.
        self.of_partition: list[set[str]] = [set() for _ in range(settings.partitions)]

    async def read(self) -> None:
        """Catch up with what other replicas have agreed on."""
        at = time.monotonic()
        await self._topic.read()
        self.read_at = at

    async def agree(self, seen: Seen, moves: Moves) -> bool:
        """Agree that these sources have moved, and that new files become sources; return whether any does."""
        if not moves and not self.locations.new_sources(seen.files, seen.moved):
            return False
        known = set(self.locations.of)
        for key, value in await self._topic.append(partial(self._decide, seen, moves)):
            self._put(key.decode(), decode_location(value))
        return self.locations.of.keys() != known

    def _decide(self, seen: Seen, moves: Moves) -> list[KeyValue]:
        after, moved = self.locations.with_moves(moves)
        changed = moved | after.new_sources(seen.files, seen.moved)
        return [(source.encode(), encode_location(location)) for source, location in changed.items()]

    def is_ours(self, source: str, seen: Seen) -> bool:
        """Whether this INPUT covers the source, which may stem from another INPUT."""
        return source in self.named or self.locations.of[source].file in seen.by_file

    def is_known(self, given: str) -> bool:
        """Whether INPUT is a file that some source was named after."""
        return source_name(Path(given)) in self.locations.of

    def is_at(self, path: str, found: Found) -> bool:
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
            if may_name(self._settings.input, home, self._excluded):
                self.named.add(source)
            self.of_partition[partition_for(home.encode(), self._settings.partitions)].add(source)
        self.locations.put(source, location)
