"""The source of a stream, committed as it comes."""

import asyncio
import time

from msgspec.structs import replace

from common.errors import SourceError
from common.kafka.transaction import Outbox, Transactions
from common.waiting import unless_stopped
from services.ingest.files.reading import LONGEST_LINE_BYTES, endless_line
from services.ingest.left_stream import StreamPlace
from services.ingest.parsing.expected import Expected
from services.ingest.source import Source

# A broker forgets a producer after a week without a transaction (transactional.id.expiration.ms), and what this one has
# read since then would be lost.
IDLE_COMMIT_S = 3600.0


class StreamReader:
    """The source of a stream, committed as it comes."""

    def __init__(self, place: StreamPlace, source: Source, transactions: Transactions) -> None:
        self.source = source
        self.transactions = transactions
        self._place = place
        self._committed_at = time.monotonic()

    async def begin(self, stop: asyncio.Event) -> None:
        """Commit progress before any row: rows without progress would mean that progress was lost."""
        # A session before this one may have begun the same commit.
        await unless_stopped(stop, self.transactions.take_over())
        await self.commit(self.transactions.outbox())
        await self.transactions.settle()

    async def take(self, data: bytes, expected: Expected) -> bytes:
        """Take what can be taken of this data, and commit it; returns what is left."""
        outbox, before = self.transactions.outbox(), self.source.progress
        left = data[await self.source.take(data, outbox, expected) :]
        progress = self.source.progress
        if progress != before:
            await self.commit(outbox)
        self._place.context.check_rejected(progress)
        if len(left) > LONGEST_LINE_BYTES and len(left) == len(data):
            raise SourceError(endless_line("standard input", progress.line, progress.offset))
        return left

    async def leave(self) -> None:
        """Commit what was read, and that no more will come: readers would wait for its end forever."""
        if not self.source.progress.ended:
            self.source.progress = replace(self.source.progress, given_up=True)
            await self.commit(self.transactions.outbox())
        await self.transactions.settle()

    async def commit(self, outbox: Outbox) -> None:
        """Begin to commit the outbox with the source's progress."""
        self._place.put(outbox, self.source.progress)
        await self.transactions.commit(outbox)
        self._committed_at = time.monotonic()

    async def keep(self) -> None:
        """Raise the error of a commit that has failed, though no row comes; after an hour without one, commit again."""
        if not self.transactions.busy:
            await self.transactions.settle()
        if time.monotonic() - self._committed_at >= IDLE_COMMIT_S:
            await self.commit(self.transactions.outbox())
