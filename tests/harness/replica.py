"""An ingest with one partition, with real files and looks, and a list in place of the topic of locations."""

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from structlog.testing import capture_logs

from common.kafka.transaction import Outbox
from common.pipeline.topics import Topics
from common.protocol.progress import Progress, decode_progress
from common.settings_reader import make_settings
from services.ingest.catalog import Catalog
from services.ingest.context import IngestContext
from services.ingest.partition import PartitionSources
from services.ingest.scan import LookPace, Scan
from services.ingest.settings import IngestSettings
from tests.harness.reading import Batch, Schemas


class Topic:
    """What replicas agreed on, shared by all replicas of a test."""

    agreed: list[Any]

    def __init__(self, _settings: object, _name: str, take: Callable[[Sequence[Any]], None]) -> None:
        self._take = take
        self._read = 0

    async def read(self) -> None:
        """Take in what others have appended."""
        records, self._read = self.agreed[self._read :], len(self.agreed)
        self._take(records)

    async def append(self, decide: Callable[[], Sequence[tuple[bytes, bytes]]]) -> Sequence[tuple[bytes, bytes]]:
        """Take in what others have appended, then append what is decided."""
        await self.read()
        entries = decide()
        self.agreed += [SimpleNamespace(key=key, value=value) for key, value in entries]
        return entries


class Transactions:
    """Keeps each outbox that is committed."""

    def __init__(self) -> None:
        self.busy = False
        self.committed: list[Outbox] = []

    def outbox(self) -> Outbox:
        """An empty outbox."""
        return Outbox(Batch)  # type: ignore[arg-type]  # as much of one as this needs

    def left_s(self, outbox: Outbox) -> float:
        """Commit what there is, but never wait for another commit."""
        return math.inf if self.busy or not outbox else 0.0

    async def commit(self, outbox: Outbox) -> None:
        """Commit at once."""
        self.committed.append(outbox)

    async def settle(self) -> None:
        """Nothing is under way."""


class Replica:
    """An ingest with one partition, and what it has read of each source."""

    def __init__(
        self, folder: Path, progress: dict[str, Progress], schemas: Schemas | None = None, **settings: object
    ) -> None:
        given = make_settings(IngestSettings, {"input": str(folder), "partitions": 1, "settle_s": 0} | settings)
        topics = Topics.under("")
        context = IngestContext(given, topics, schemas or Schemas())  # type: ignore[arg-type] # as far as it is asked
        catalog = Catalog(given, topics, Topic)
        self.scan = Scan(given, catalog, LookPace(0.0, 0.0, 0.0, math.inf, math.inf))
        self.transactions = Transactions()
        given_transactions: Any = self.transactions
        partition = TopicPartition("progress", 0)
        self.sources = PartitionSources(context, self.scan, partition, given_transactions, progress)

    @property
    def progress(self) -> dict[str, Progress]:
        """The progress of each source as it was committed last."""
        found: dict[str, Progress] = {}
        for outbox in self.transactions.committed:
            for batch in outbox.batches["progress", 0]:
                for value, _ in batch.records:
                    progress = decode_progress(value)
                    assert isinstance(progress, Progress)
                    found[progress.source] = progress
        return found

    async def look(self, times: int = 1) -> None:
        """Look at the input so many times."""
        for _ in range(times):
            await self.sources.follow()

    async def read(self, turns: int = 3) -> None:
        """Give every source so many turns."""
        for _ in range(turns):
            await self.sources.take_turn(asyncio.Event())

    @property
    def paths(self) -> dict[str, str]:
        """The name of each source's file, by the source's; "" if it is nowhere."""
        return {
            source.rpartition("/in/")[2]: Path(location.path).name if location.file else ""
            for source, location in self.scan.catalog.locations.of.items()
        }

    def is_finished(self) -> bool:
        """Whether every source is read to its end, or cannot be read."""
        return self.sources.finished

    @property
    def rows(self) -> dict[str, int]:
        """How many rows of each source are committed."""
        return {source.rpartition("/in/")[2]: each.tally.rows for source, each in self.progress.items()}

    async def troubles(self) -> list[str]:
        """The sources in trouble that a turn reports."""
        with capture_logs() as logs:
            await self.read(1)
        return [line["reason"] for line in logs if line["event"] == "source cannot be read"]
