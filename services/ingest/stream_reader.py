"""The source of a stream, committed as it comes."""

import asyncio
import time
from contextlib import AsyncExitStack

from msgspec.structs import replace

from common.errors import SourceError
from common.kafka.clients import open_producer
from common.kafka.transaction import Outbox, Transactions
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from common.waiting import unless_stopped
from services.ingest.files.reading import LONGEST_LINE_BYTES, endless_line
from services.ingest.left_stream import StreamPlace
from services.ingest.parsing.expected import Expected
from services.ingest.source import Source

# A broker forgets a producer after a week without a transaction (transactional.id.expiration.ms), and the next rows
# would be lost with it. A commit in each hour without a row would be no way out: in an outage it would fail.
_RESTED_S = 3600.0
# Once a signal has come there is little time for another producer, and no row that could be lost.
_RESTED_AT_END_S = 24 * 3600.0


def _now() -> float:
    """Seconds by a clock that goes on while the machine sleeps, where there is one: connections do not outlast that."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class StreamReader:
    """The source of a stream, committed as it comes, by producers that `producers` closes."""

    transactions: Transactions

    def __init__(self, place: StreamPlace, source: Source, producers: AsyncExitStack) -> None:
        self.source = source
        self._place = place
        self._producers = producers
        self._used_at = _now()

    async def begin(self, stop: asyncio.Event) -> None:
        """Commit progress before any row: rows without progress would mean that progress was lost."""
        await self._open(stop)
        await self.commit(self.transactions.outbox())
        await self.transactions.settle()

    async def take(self, data: bytes, expected: Expected) -> bytes:
        """Take what can be taken of this data, and commit it; returns what is left."""
        # Before there is an outbox: its records have the time at which they are put into it.
        await self._renew(_RESTED_S)
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
            await self._renew(_RESTED_AT_END_S)
            await self.commit(self.transactions.outbox())
        await self.transactions.settle()

    async def commit(self, outbox: Outbox) -> None:
        """Begin to commit the outbox with the source's progress."""
        self._place.put(outbox, self.source.progress)
        await self.transactions.commit(outbox)
        self._used_at = _now()

    async def check(self) -> None:
        """Raise the error of a commit that has failed, though no row comes."""
        if not self.transactions.busy:
            await self.transactions.settle()

    async def _renew(self, rested_s: float) -> None:
        """Open another producer after so long a rest, waiting for a broker: nothing is under way that could be lost."""
        if _now() - self._used_at < rested_s:
            return
        await self.transactions.settle()
        context = self._place.context

        async def session(readiness: Readiness, stop: asyncio.Event) -> None:
            await self._open(stop)
            if context.counts.not_ready:
                readiness.set_ready(())

        await run_sessions(context.settings, session, asyncio.Event(), context.counts)
        self._used_at = _now()

    async def _open(self, stop: asyncio.Event) -> None:
        # Both have the same id.
        await self._producers.aclose()
        opening = open_producer(self._place.context.settings, self._place.transactional_id, stop)
        self.transactions = self._place.transactions(await self._producers.enter_async_context(opening))
        self._producers.callback(self.transactions.give_up)
        # A session before this one may have begun the first commit.
        await unless_stopped(stop, self.transactions.take_over())
