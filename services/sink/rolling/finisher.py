"""When a partition's files are finished, and the thread that gives them their final names."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import orjson

from common.protocol.messages import Ended
from services.sink.ledger.database import ENDED_AT, ENDS, Ledger
from services.sink.ledger.entries import Entry
from services.sink.memory import CategoryState
from services.sink.rolling.finished_files import prepare, put_in_place, remove_copies
from services.sink.rolling.limits import NEVER, Due, Rolling, with_end
from services.sink.threads import new_thread

# How late a timer may finish a file.
_DUE_INTERVAL_S = 0.5
# How many checkpoints' files may wait for their final names: packing takes long.
_MAX_UNDER_WAY = 4
# How many files get their final names together, at most; fewer if packing them takes longer than this. A stop or a kill
# discards what was packed of them, and a stop waits for their renames.
_AT_ONCE = 100
_AT_ONCE_S = 0.5


class Finisher:
    """Finds the files that are due, and gives those that a checkpoint has made durable their final names."""

    def __init__(
        self, root: Path, ledger: Ledger, rolling: Rolling, clock: Callable[[], float], is_closing: Callable[[], bool]
    ) -> None:
        self._root = root
        self._ledger = ledger
        self._rolling = rolling
        self._clock = clock
        self._is_closing = is_closing
        self._thread = new_thread("finisher")
        self._under_way = deque[Future[None]]()
        self._ends: dict[str, int] = {}
        # Files begun by then are finished, because every row for them has arrived. The ledger has the time of a
        # source's end alone: if no more rows come at all, every start finds that out anew.
        self._ended_at = NEVER
        self._source_ended_at = NEVER
        # The latest time at which a file was begun, which is ahead of a clock that was set back.
        self._begun_at = NEVER
        # Files that such a clock has begun since the end, at times before it. Were they due by it, the next ones would
        # be as well, a file for each batch of rows, until the clock catches up. A start knows no such files: what the
        # ledger has is due, and its categories go on in new files once.
        self._begun_since = set[str]()
        self._looked_at = NEVER
        self._ending = False
        self._is_last_end = False

    @property
    def at_rest(self) -> bool:
        """Whether no files are left to be found after an end, and none wait for their final names."""
        return not (self._ending or self._under_way)

    @property
    def facts(self) -> dict[str, str]:
        """What the ledger is to have of the ends of sources seen so far; nothing without ROLL_AT_END."""
        if not self._rolling.at_end:
            return {}
        # With the offset behind the end, which then does not come again: the files that it left to be found.
        return {ENDS: orjson.dumps(self._ends).decode(), ENDED_AT: str(self._source_ended_at)}

    def take_up(self, ends: str, ended_at: float) -> None:
        """Go on from the ledger, with these ends and with the files that wait for their final names."""
        self._ends = orjson.loads(ends)
        self._begun_at = self._ledger.latest_begun()
        if self._rolling.at_end and ended_at > NEVER:
            self._end_source(ended_at)
        ready, unfinished = self._ledger.ready(), self._ledger.unfinished()
        if ready or unfinished:
            self._under_way.append(self._thread.submit(self._go_on, ready, unfinished))

    def take_ends(self, ends: Sequence[Ended]) -> None:
        """Count these ends. After the last end of a source, every file that has rows by now is due."""
        if not self._rolling.at_end:
            return
        for end in ends:
            self._ends, is_last = with_end(self._ends, end)
            if is_last:
                self._end_source(max(self._clock(), self._begun_at))

    def note_begun(self, entry: Entry) -> None:
        """Note that this file was begun."""
        self._begun_at = max(self._begun_at, entry.began_at)
        if self._ending and entry.began_at <= self._ended_at < math.inf:
            self._begun_since.add(entry.path)

    def end(self) -> None:
        """Finish every file, because no more rows will come. Only the first call counts."""
        if not self._is_last_end:
            self._is_last_end = True
            self._end(math.inf)

    def _end_source(self, at: float) -> None:
        self._source_ended_at = at
        self._end(at)

    def _end(self, at: float) -> None:
        self._ended_at = at
        self._begun_since.clear()
        self._looked_at, self._ending = NEVER, self._rolling.rule.rolls

    async def find_due(
        self,
        look_up: Callable[[Due, int], Awaitable[Sequence[Entry]]],
        current: Callable[[Entry], CategoryState],
        at_once: int,
    ) -> list[CategoryState]:
        """The states of at most `at_once` open files that are due; no row has to come for that.

        `look_up` asks the ledger, whose entries may be older than what `current` gives for them. Raises what failed
        while earlier files got their final names.
        """
        while self._under_way and self._under_way[0].done():
            self._under_way.popleft().result()
        at = self._clock()
        if not self._rolling.rule.rolls or abs(at - self._looked_at) < _DUE_INTERVAL_S:
            return []
        self._looked_at = at
        due, by_clock = self._rolling.limits.due(at, self._ended_at), self._rolling.limits.due(at, NEVER)

        def is_due(entry: Entry) -> bool:
            return (by_clock if entry.path in self._begun_since else due).has(entry)

        # The ledger finds those that were begun since the end as well: they must not take the place of others.
        looked_up = await look_up(due, at_once + len(self._begun_since))
        found = [known for known in looked_up if is_due(known)][:at_once]
        if self._ending:
            # Look again: there may be more, and these are in the ledger until the next checkpoint.
            self._ending, self._looked_at = bool(found), NEVER
            if not self._ending:
                # All of them are found. Files begun from now on are not among them, whatever the clock says.
                self._ended_at = self._source_ended_at = NEVER
                self._begun_since.clear()
        states = [(known, current(known)) for known in found]
        return [state for known, state in states if state.entry.path == known.path and is_due(state.entry)]

    async def has_room(self) -> None:
        """Wait until few enough checkpoints' files wait for their final names. Raises what failed with them."""
        while len(self._under_way) >= _MAX_UNDER_WAY:
            # Shielded, so that a cancelled waiter does not cancel the work.
            await asyncio.shield(asyncio.wrap_future(self._under_way[0]))
            self._under_way.popleft()

    def begin(self, entries: Sequence[Entry]) -> None:
        """Begin to give these files their final names. They are durable, and entered as files to be finished."""
        if entries:
            self._under_way.append(self._thread.submit(self._give_final_names, entries))

    def _go_on(self, ready: Sequence[Entry], unfinished: Sequence[Entry]) -> None:
        # Complete copies first. Then the others are removed, because a stop may come before they are written again.
        self._put_in_place(ready)
        remove_copies(self._root, unfinished)
        self._give_final_names(unfinished)

    def _give_final_names(self, entries: Sequence[Entry]) -> None:
        begin, count = 0, 1
        while begin < len(entries) and not self._is_closing():
            some = entries[begin : begin + count]
            began = time.monotonic()
            prepared = prepare(self._root, some, self._is_closing, keeps_sums=self._ledger.keeps_sums)
            if prepared is None:
                return
            # From here on a stop waits: up to here it leaves no copies, after the renames no originals. The sums first:
            # once a file has its final name, it may be taken away.
            self._ledger.set_ready(prepared)
            self._put_in_place(some)
            begin += count
            count = min(2 * count, _AT_ONCE) if time.monotonic() - began < _AT_ONCE_S else max(count // 2, 1)

    def _put_in_place(self, entries: Sequence[Entry]) -> None:
        put_in_place(self._root, entries)
        self._ledger.set_in_place(entries)

    def close(self) -> None:
        """Wait for the thread. Nothing may give it work after this call."""
        self._thread.shutdown(wait=True)
