"""The files of one partition: rows are appended to them, and a checkpoint makes the rows durable."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event

from common.batches.record_runs import Record, RecordRun
from common.counts import Counts, PartitionCounts
from common.pipeline.schema_numbers import Schemas
from common.protocol.identity import NEWEST_FORMATS, Formats
from common.protocol.shares import Share
from services.sink.categories import Categories, PendingAppend, portioned
from services.sink.checkpoint import Checkpoint
from services.sink.disk.open_files import OpenFiles
from services.sink.disk.output_root import OutputRoot, identity_of
from services.sink.folder_proofs.seal import Seal
from services.sink.grouping import Grouping, group_by_key
from services.sink.ledger.database import APPENDED_TO, FILES, LIKE_LEDGER, NEXT_OFFSET
from services.sink.ledger.entries import Changes, split_of
from services.sink.ledger.origin import Origin
from services.sink.memory import CategoryState, Memory, MemoryLimits
from services.sink.recovery import open_ledger, recover
from services.sink.rendering import render
from services.sink.rolling.finisher import Finisher
from services.sink.rolling.limits import NOTHING_FINISHED, Rolling
from services.sink.tallies.additions import NOTHING_TALLIED, Tallying
from services.sink.tallies.states import Unshared
from services.sink.threads import in_thread, new_thread
from services.sink.unsafe_rows import UnsafeRows

_MEMORY_LIMITS = MemoryLimits()


class PartitionFiles:
    """The files of one partition: `open` recovers them, `add` appends rows, and a checkpoint makes the rows durable.

    Memory holds only the entries that changed lately, however many files there are: see `Memory`. A timer finishes at
    most `due_at_once` files, and the next ones only after a checkpoint.
    """

    def __init__(
        self,
        root: Path,
        ledger_path: str,
        schemas: Schemas,
        rolling: Rolling = NOTHING_FINISHED,
        clock: Callable[[], float] = time.time,
        *,
        group: Grouping = group_by_key,
        formats: Formats = NEWEST_FORMATS,
        memory_limits: MemoryLimits = _MEMORY_LIMITS,
        due_at_once: int = 10_000,
        counts: Counts | None = None,
        held: PartitionCounts | None = None,
    ) -> None:
        self._root = root
        self._rolling = rolling
        self._clock = clock
        self._group = group
        self._due_at_once = due_at_once
        # Before the ledger is opened: if the folder is replaced in between, the ledger gets no files.
        identity = identity_of(root)
        self._ledger = open_ledger(root, ledger_path, formats.now, is_rejected=group is not group_by_key)
        # Look-ups have a thread apart from the checkpoint's, so that they do not wait for its fsyncs. A cancelled task
        # leaves its call running, so `close` waits for the threads: the partition's lock is released after that.
        name = ledger_path.rpartition("/")[2]
        self._looking = new_thread(name)
        self._closing = Event()
        # The finisher has its own thread as well, because packing takes long.
        self._finisher = Finisher(root, self._ledger, rolling, clock, self._closing.is_set)
        self.checkpoint = Checkpoint(root, self._ledger, self._finisher, name, clock, self._closing.is_set)
        self.seal = Seal(root, self._ledger, self._looking, rolls=rolling.rule.rolls, is_kept=formats.now > 1)
        self._files = OpenFiles()
        self._memory = Memory(memory_limits)
        self._categories = Categories(
            identity, self._ledger, self._looking, schemas, rolling, self._memory, formats.begun
        )
        # None in format 1, where rows do not say which source they are of.
        self._tallying = Tallying() if formats.now > 1 else None
        # Of the checkpoints that have ended: the sources whose shares are to be issued.
        self._unshared = dict[str, Unshared]()
        # The ledger's next offset once the checkpoint under way is committed, -1 if there is none yet.
        self._next_offset = -1
        self._may_append = False
        self._held = held or PartitionCounts()
        self._unsafe = UnsafeRows(counts or Counts(), self._held, are_rejections=group is not group_by_key)

    async def open(self, origin: Origin) -> int | None:
        """Recover every file and return the next offset, None at the first start. Raises as `recover` does."""
        rule, given_up = self._rolling.rule, self._closing.is_set
        recovered = await in_thread(self._looking, recover, self._root, self._ledger, origin, rule, given_up)
        self._may_append = recovered.may_append
        await in_thread(self._looking, self._finisher.take_up, recovered.ends, recovered.ended_at)
        self._unshared = {each.source: each for each in await in_thread(self._looking, self._ledger.unshared)}
        if recovered.next_offset is not None:
            self._next_offset = recovered.next_offset
        return recovered.next_offset

    async def add(self, parts: Iterable[RecordRun | Record]) -> bool:
        """Append the rows of these records to their files; True if a source's end is among the records."""
        await self.seal.lift()
        await self._note_files(may_append=True)
        now = self._clock() if self._rolling.rule.rolls else 0.0
        grouped = self._group(parts)
        self._unsafe.expect(grouped.since_ms)
        piles = grouped.piles
        known = await self._categories.find(piles)
        appends: list[PendingAppend] = []
        for key in list(piles):
            # Pop each pile, so that its values are freed once they are CSV rows, at the latest with their batch's last.
            appends += portioned(*known[key], piles.pop(key), self._rolling.limits)
        with OutputRoot(self._root) as output:
            for append in await self._categories.claim(appends, now, output):
                self._write(output, append, now)
        if self._tallying is not None:
            self._tallying.add_ends(grouped.ends)
            self._tallying.add_rejected(grouped.rejected)
        self._finisher.take_ends([ended for ended in grouped.ends if not ended.is_filling])
        self._held.open_files = len(self._files)
        return grouped.has_end

    def _write(self, output: OutputRoot, append: PendingAppend, now: float) -> None:
        entry = append.entry
        rendered = render(append.runs, append.layout, empty=entry.length == 0, open_line=entry.open_line)
        self._files.append(output, entry.path, entry.length, rendered.data)
        self._unsafe.append(rendered.rows)
        if self._tallying is not None:
            split = split_of(entry.key)
            for _, rows, stretch in append.runs:
                if stretch is not None:
                    self._tallying.add_rows(stretch, split, entry.final or entry.path, rows)
        state = CategoryState(entry.grown(rendered.data, rendered.rows, rendered.open_line, now), append.layout)
        if not entry.length:
            self._finisher.note_begun(entry)
        if append.full:
            self._finish(state)
        else:
            self._memory.change(state)

    def _finish(self, state: CategoryState) -> None:
        self._files.let_go(state.entry.path)
        self._memory.finish(state)

    async def pass_over(self, offset: int) -> None:
        """Commit the next offset alone to the ledger: at the first start, or if no row came since a checkpoint."""
        if offset > self._next_offset:
            tallied = NOTHING_TALLIED if self._tallying is None else self._tallying.take_shared()
            await in_thread(self._looking, self._ledger.commit, {NEXT_OFFSET: str(offset)}, Changes([]), tallied)
            self._next_offset = offset

    async def rest(self) -> None:
        """Enter that the files hold what the ledger knows and no more: everything is durable, and no row comes."""
        await self._note_files(may_append=False)
        await in_thread(self._looking, self._ledger.merge_log)

    async def _note_files(self, *, may_append: bool) -> None:
        if may_append != self._may_append:
            facts = {FILES: APPENDED_TO if may_append else LIKE_LEDGER}
            await in_thread(self._looking, self._ledger.commit, facts, Changes([]))
            self._may_append = may_append

    async def share_all(self) -> None:
        """Let the shares of all sources be issued again."""
        await in_thread(self._looking, self._ledger.share_all)
        self._unshared = {each.source: each for each in await in_thread(self._looking, self._ledger.unshared)}

    async def knows(self, source: str) -> bool:
        """Whether the ledger has anything of a source."""
        return await in_thread(self._looking, self._ledger.knows, source)

    def take_shares(self, partition: str, folder: str) -> list[Share]:
        """Take the shares that are to be issued; `note_shared` takes note that they are."""
        unshared, self._unshared = self._unshared, {}
        shares = (each.share(partition, folder) for each in unshared.values())
        return [share for share in shares if share is not None]

    def note_shared(self, shares: Iterable[Share]) -> None:
        """These shares are issued. If the ledger never gets to know that, they are issued again at the next start."""
        if self._tallying is not None:
            self._tallying.note_shared(share.source for share in shares)

    @property
    def dirty(self) -> bool:
        """Whether anything was written since the last checkpoint began."""
        return self._memory.dirty or bool(self._tallying)

    @property
    def full(self) -> bool:
        """Whether the changes since the last checkpoint began take so much memory that the next is due."""
        return self._memory.full

    @property
    def entries_in_memory(self) -> int:
        """How many entries are known without a query of the ledger."""
        return len(self._memory)

    def end(self) -> None:
        """Finish every file, because no more rows will come. Only the first call counts."""
        self._finisher.end()

    @property
    def at_rest(self) -> bool:
        """Whether every row is durable, and every file that is to be finished has its final name."""
        return self._finisher.at_rest and not (self.dirty or self.checkpoint.under_way)

    async def finish_due(self) -> None:
        """Finish the files that are due; they get their final names after the next checkpoint."""
        look_up, current = self._categories.find_due, self._categories.current
        for state in await self._finisher.find_due(look_up, current, self._due_at_once):
            self._finish(state)

    async def begin_checkpoint(self, next_offset: int) -> None:
        """Begin to make durable what is written so far; `next_offset` is the first record that is not part of it.

        Rows may be appended meanwhile: the ledger gets the files' lengths as they are now.
        """
        await self.settle()
        await self._finisher.has_room()
        changes = self._memory.begin_checkpoint()
        folders = self._files.take_new_folders()
        facts = {NEXT_OFFSET: str(next_offset), **self._finisher.facts}
        self._next_offset = next_offset
        self._unsafe.begin_checkpoint()
        tallied = NOTHING_TALLIED if self._tallying is None else self._tallying.take()
        self.checkpoint.begin(facts, changes, folders, tallied)

    async def settle(self) -> None:
        """Wait for the checkpoint under way, if there is one, and raise what it failed with."""
        if (ended := await self.checkpoint.settle()) is not None:
            unshared, safe = ended
            self._memory.end_checkpoint()
            self._unsafe.end_checkpoint(safe)
            for each in unshared:
                self._unshared[each.source] = each.after(self._unshared.get(each.source))

    def give_up(self) -> None:
        """Make the threads stop before their next step, as `close` does. Nothing may begin after this call."""
        self._closing.set()

    def close(self) -> None:
        """Wait for the threads, then close files and ledger. It blocks, so that cancellation cannot cut it short."""
        self.give_up()
        self._looking.shutdown(wait=True)
        self.checkpoint.close()
        # After the checkpoint's thread, which hands files to the finisher's.
        self._finisher.close()
        self._files.close()
        self._held.open_files = 0
        self._ledger.close()
