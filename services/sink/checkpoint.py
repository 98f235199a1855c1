"""A partition's checkpoint: what is written is made safe, in a thread, while more is written."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.sink.disk.durability import make_durable
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes
from services.sink.rolling.finisher import Finisher
from services.sink.threads import in_thread


class Checkpoint:
    """One partition's, of which at most one is under way."""

    under_way: asyncio.Future[None] | None = None

    def __init__(
        self, root: Path, ledger: Ledger, finisher: Finisher, name: str, is_closing: Callable[[], bool]
    ) -> None:
        self._root = root
        self._ledger = ledger
        self._finisher = finisher
        self._is_closing = is_closing
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-checkpoint")

    @property
    def busy(self) -> bool:
        """Whether one is under way."""
        return self.under_way is not None and not self.under_way.done()

    def begin(self, facts: dict[str, str], changes: Changes, folders: Collection[str]) -> None:
        """Begin to make these files safe, and the names that are new in these folders. The one before is settled."""
        self.under_way = in_thread(self._thread, self._make_safe, facts, changes, folders)

    def _make_safe(self, facts: dict[str, str], changes: Changes, folders: Collection[str]) -> None:
        # First the files, then the ledger: it must never know of bytes that a power cut could take. One that is given
        # up because nobody waits for it any more, at `close`, leaves the ledger as it was.
        if make_durable(self._root, changes.paths, folders, self._is_closing):
            self._ledger.commit(facts, changes)
            # Only now: what has its last name must not be cut back and added to.
            self._finisher.begin(changes.finished)

    async def settle(self) -> bool:
        """Wait until none is under way; True where one was. Raises what has gone wrong with it."""
        if self.under_way is None:
            return False
        await self.under_way
        self.under_way = None
        return True

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown(wait=True)
