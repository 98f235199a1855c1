"""When a partition's files are finished, and the thread that gives them their last names."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import orjson

from common.protocol.messages import Ended
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Entry
from services.sink.memory import CategoryState
from services.sink.rolling.finished_files import pack, packing_of, put_in_place, remove_copies
from services.sink.rolling.limits import NEVER, Due, Rolling, with_end

# A file that a timer finishes may be this late.
_DUE_INTERVAL_S = 0.5
# So many checkpoints' finished files may wait until they have their last names; packing takes its time.
_MAX_UNDER_WAY = 4
# So many files get their last names together, at most, and fewer where packing them takes longer than this: a stop, or
# a kill, gives up what was packed of them. A stop waits for the renames.
_AT_ONCE = 100
_AT_ONCE_S = 0.5


class Finisher:
    """Tells which files are due, and gives those that a checkpoint has made safe their last names."""

    def __init__(
        self, root: Path, ledger: Ledger, rolling: Rolling, clock: Callable[[], float], is_closing: Callable[[], bool]
    ) -> None:
        self._root = root
        self._ledger = ledger
        self._rolling = rolling
        self._clock = clock
        self._is_closing = is_closing
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finisher")
        self._under_way: deque[Future[None]] = deque()
        self._ends: dict[str, int] = {}
        # What was begun until then is finished, because all that was to come had come.
        self._ended_at = NEVER
        # The latest time at which a file was begun: clocks are set back.
        self._begun_at = NEVER
        self._looked_at = NEVER
        self._ending = False
        self._is_last_end = False

    @property
    def at_rest(self) -> bool:
        """Whether all that was asked for is done."""
        return not (self._ending or self._under_way)

    @property
    def ends(self) -> str | None:
        """The ends of sources that were seen, for the ledger; None where they do not matter."""
        return orjson.dumps(self._ends).decode() if self._rolling.at_end else None

    def take_up(self, ends: str) -> None:
        """Go on from the ends in the ledger, and with the files that it says are to be finished."""
        self._ends = orjson.loads(ends)
        self._begun_at = self._ledger.latest_begun()
        packed, unfinished = self._ledger.packed(), self._ledger.unfinished()
        if packed or unfinished:
            self._under_way.append(self._thread.submit(self._go_on, packed, unfinished))

    def take_ends(self, ends: Sequence[Ended]) -> None:
        """Count these; behind the last end of a source all that has rows by now is due."""
        if not self._rolling.at_end:
            return
        for end in ends:
            self._ends, is_last = with_end(self._ends, end)
            if is_last:
                self._end(max(self._clock(), self._begun_at))

    def note_begun(self, at: float) -> None:
        """A file is begun at this time."""
        self._begun_at = max(self._begun_at, at)

    def end(self) -> None:
        """Finish everything: nothing more is to come. Only the first call counts."""
        if not self._is_last_end:
            self._is_last_end = True
            self._end(math.inf)

    def _end(self, at: float) -> None:
        self._ended_at = at
        self._looked_at, self._ending = NEVER, self._rolling.rule.rolls

    async def find_due(
        self, look_up: Callable[[Due], Awaitable[Sequence[Entry]]], as_it_is: Callable[[Entry], CategoryState]
    ) -> list[CategoryState]:
        """The open files whose time has come: no row has to come for that.

        `look_up` asks the ledger, which has each open file, if not as it is now. Raises what has gone wrong with those
        before.
        """
        while self._under_way and self._under_way[0].done():
            self._under_way.popleft().result()
        at = self._clock()
        if not self._rolling.rule.rolls or abs(at - self._looked_at) < _DUE_INTERVAL_S:
            return []
        self._looked_at = at
        due = self._rolling.limits.due(at, self._ended_at)
        found = await look_up(due)
        if self._ending:
            # There may be more of them, and these are in the ledger until the next checkpoint.
            self._ending, self._looked_at = bool(found), NEVER
            if not self._ending:
                # All of those are found: what is begun from now on has its own time, whatever the clock says.
                self._ended_at = NEVER
        states = [(known, as_it_is(known)) for known in found]
        return [state for known, state in states if state.entry.path == known.path and due.has(state.entry)]

    async def has_room(self) -> None:
        """Wait until there are not too many files under way. Raises what has gone wrong with them."""
        while len(self._under_way) >= _MAX_UNDER_WAY:
            # Shielded: a cancelled waiter does not cancel the finishing that has begun.
            await asyncio.shield(asyncio.wrap_future(self._under_way[0]))
            self._under_way.popleft()

    def begin(self, entries: Sequence[Entry]) -> None:
        """Begin to give these their last names: they are safe, and the ledger knows that they are to be finished."""
        if entries:
            self._under_way.append(self._thread.submit(self._give_last_names, entries))

    def _go_on(self, packed: Sequence[Entry], unfinished: Sequence[Entry]) -> None:
        # Those that were further come first. Then the remains of copies are removed: a stop may come before they are
        # written again.
        self._put_in_place(packed)
        remove_copies(self._root, unfinished)
        self._give_last_names(unfinished)

    def _give_last_names(self, entries: Sequence[Entry]) -> None:
        begin, count = 0, 1
        while begin < len(entries) and not self._is_closing():
            some = entries[begin : begin + count]
            began = time.monotonic()
            if not pack(self._root, some, self._is_closing):
                return
            # From here on a stop waits for them: before it no copy is left, behind it nothing but copies.
            self._ledger.set_packed([entry for entry in some if packing_of(entry.final) != "none"])
            self._put_in_place(some)
            begin += count
            count = min(2 * count, _AT_ONCE) if time.monotonic() - began < _AT_ONCE_S else max(count // 2, 1)

    def _put_in_place(self, entries: Sequence[Entry]) -> None:
        put_in_place(self._root, entries)
        self._ledger.set_in_place(entries)

    def close(self) -> None:
        """Wait for the thread, behind whatever may still give it work."""
        self._thread.shutdown(wait=True)
