"""A partition's checkpoint: a thread makes the written rows durable while more are written."""

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from services.sink.disk.durability import make_durable
from services.sink.ledger.database import NEXT_OFFSET, Ledger
from services.sink.ledger.entries import Changes
from services.sink.rolling.finisher import Finisher
from services.sink.tallies.additions import Tallied
from services.sink.tallies.latencies import durations_of
from services.sink.tallies.states import Unshared
from services.sink.threads import in_thread, new_thread
from services.sink.unsafe_rows import Safe

log = structlog.get_logger()

# What `Ledger.commit` returns, and what there is to count.
Result = tuple[list[Unshared], Safe]


class Checkpoint:
    """The checkpoints of one partition, of which at most one is under way."""

    under_way: asyncio.Future[Result] | None = None

    def __init__(
        self,
        root: Path,
        ledger: Ledger,
        finisher: Finisher,
        name: str,
        clock: Callable[[], float],
        is_closing: Callable[[], bool],
    ) -> None:
        self._root = root
        self._ledger = ledger
        self._finisher = finisher
        self._clock = clock
        self._is_closing = is_closing
        self._thread = new_thread(f"{name}-checkpoint")

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is under way and has not ended."""
        return self.under_way is not None and not self.under_way.done()

    def begin(self, facts: dict[str, str], changes: Changes, folders: Collection[str], tallied: Tallied) -> None:
        """Begin to make these files durable, and the new names in these folders. The one before must be settled."""
        self.under_way = in_thread(self._thread, self._sync_and_commit, facts, changes, folders, tallied)

    def _sync_and_commit(
        self, facts: dict[str, str], changes: Changes, folders: Collection[str], tallied: Tallied
    ) -> Result:
        began = time.monotonic()
        # Files first: the ledger must never know of bytes that a power cut could take. A checkpoint that `close` gives
        # up leaves the ledger as it was.
        if make_durable(self._root, changes.paths, folders, self._is_closing):
            now = self._clock()
            unshared = self._ledger.commit(facts, changes, tallied, now)
            # After the commit: a start must not cut back a file that has its final name, nor append to it.
            self._finisher.begin(changes.finished)
            log.debug(
                "checkpoint committed",
                offset=int(facts[NEXT_OFFSET]),
                files=len(changes.open) + len(changes.finished),
                finished=len(changes.finished),
                took_s=round(time.monotonic() - began, 3),
            )
            read_ms = [
                moments
                for additions in tallied.additions.values()
                for stretches in additions.read_ms.values()
                for moments in stretches.values()
            ]
            return unshared, Safe(time.monotonic() - began, durations_of(read_ms, round(now * 1000)))
        return [], Safe()

    async def settle(self) -> Result | None:
        """Wait for the checkpoint under way, and raise what it failed with; None if there is none."""
        if self.under_way is None:
            return None
        ended = await self.under_way
        self.under_way = None
        return ended

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown(wait=True)
