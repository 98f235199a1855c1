"""One partition's files and their ledger: brought to the ledger's state, added to, checkpointed."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Protocol, TypeVar
from zlib import crc32

from common.batches.record_runs import Record, RecordRun
from common.errors import ConfigurationError, ServiceError
from common.pipeline.registry import Registered
from common.protocol.messages import parse_category_key
from services.sink.disk.durability import make_durable
from services.sink.disk.open_files import OpenFiles, check_free, check_room, cut_back, remove_empty
from services.sink.disk.output_root import OutputRoot
from services.sink.ledger.database import Ledger, check_ledger
from services.sink.ledger.entries import REJECTED_KEY, Changes, Entries, Entry
from services.sink.ledger.origin import Origin, refusal, unpinned
from services.sink.rendering import (
    REJECTED_LAYOUT,
    Layout,
    Run,
    arrange,
    arrange_rejections,
    layout_of,
    render,
    spelled_out,
)
from services.sink.rolling.finisher import Finisher
from services.sink.rolling.limits import NOTHING_FINISHED, Due, Rolling, portions

T = TypeVar("T")

_REJECTED_PATH = "rejected.csv"
_NEXT_OFFSET = "next_offset"
_RULE = "path_template"
_ENDS = "ends"
_MAX_LAYOUTS = 1_000
# Of the files that a timer finishes at once: a checkpoint comes between these and the next.
_MAX_DUE = 10_000


class Schemas(Protocol):
    """Where schemas are looked up."""

    async def find(self, schema_id: str) -> Registered:
        """The schema with this id."""


@dataclass(frozen=True, slots=True)
class Addend:
    """Rows for the file of an entry, which is finished with them or not."""

    entry: Entry
    layout: Layout
    runs: Sequence[Run]
    full: bool = False


class Shelf:
    """The files of one partition. `add` writes; a checkpoint makes safe what is written; `open` begins from there.

    However many files there are, few are in memory: those that changed lately, see `Entries`.
    """

    def __init__(
        self,
        root: Path,
        ledger_path: str,
        schemas: Schemas,
        rolling: Rolling = NOTHING_FINISHED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._rolling = rolling
        self._clock = clock
        self._hidden, _, name = ledger_path.rpartition("/")
        with OutputRoot(root) as output:
            # Before the ledger is opened, which takes room itself.
            check_room(output, f"{ledger_path}.room")
            check_ledger(output, ledger_path)
            self._ledger = Ledger(root / ledger_path)
        # Two threads: who looks an entry up does not wait until a checkpoint is through with its files. A task that
        # waits for one may be cancelled, the thread may not: `close` waits for it, because behind that the partition's
        # lock is given back.
        self._looking = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._checkpointing = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-checkpoint")
        self._closing = Event()
        # Has a thread of its own, too: packing takes its time.
        self._finisher = Finisher(root, self._ledger, rolling, clock, self._closing.is_set)
        self._files = OpenFiles()
        self._schemas = schemas
        self._entries = Entries()
        self._layouts: dict[str, Layout] = {}
        self._checkpoint: asyncio.Future[None] | None = None
        # The first record that the ledger, as it is or will be with the checkpoint under way, does not know.
        self._next_offset = -1

    async def open(self, origin: Origin) -> int | None:
        """Cut every file back to the ledger; return the next offset, None at the first start.

        ServiceError when the ledger is of another cluster or topic, where its offsets mean other records.
        """
        next_offset = await _in_thread(self._looking, self._open, origin)
        if next_offset is not None:
            self._next_offset = next_offset
        return next_offset

    def _open(self, origin: Origin) -> int | None:
        facts = self._ledger.facts()
        rule = self._rolling.rule.name
        if why := refusal(facts, origin, self._root):
            raise ServiceError(why)
        if facts.get(_RULE, rule) != rule:
            raise ConfigurationError(
                f"{self._root} holds files named by PATH_TEMPLATE {facts[_RULE]}, this is {rule}: set that and ROLL_* "
                "as they were, or another OUTPUT_DIR"
            )
        if missing := unpinned(facts, origin) | ({} if _RULE in facts else {_RULE: rule}):
            self._ledger.commit(missing, Changes([]))
        # The ledger's own name may be new. And a disk that makes nothing safe is seen before a file is cut back and
        # written to in vain.
        make_durable(self._root, [], [self._hidden, ""], self._closing.is_set)
        # All files, not those alone that were written to since the last checkpoint: these would have to be noted, safe
        # from a power cut, before they are written to: a wait for the disk each time, to save a start 10 us a file.
        with OutputRoot(self._root) as output:
            for path, length in self._ledger.lengths():
                if self._closing.is_set():
                    break
                cut_back(output, path, length)
            self._remove_unused(output)
        self._finisher.take_up(facts.get(_ENDS, "{}"))
        return int(facts[_NEXT_OFFSET]) if _NEXT_OFFSET in facts else None

    def _remove_unused(self, output: OutputRoot) -> None:
        """Forget the files that a crash left without rows, where others would come to stand beside them."""
        if not self._rolling.rule.rolls:
            return
        while (unused := self._ledger.unused(_MAX_DUE)) and not self._closing.is_set():
            for entry in unused:
                remove_empty(output, entry.path)
            # Only now: what no ledger knows is never touched.
            self._ledger.drop(unused)

    async def pass_over(self, offset: int) -> None:
        """Enter the next offset alone: at a first start, or where nothing was written since the last checkpoint."""
        if offset > self._next_offset:
            await _in_thread(self._looking, self._ledger.commit, {_NEXT_OFFSET: str(offset)}, Changes([]))
            self._next_offset = offset

    @property
    def dirty(self) -> bool:
        """Whether anything was written since the last checkpoint began."""
        return self._entries.dirty

    @property
    def full(self) -> bool:
        """Whether so many files have changed since the last checkpoint began that the next is due."""
        return self._entries.full

    @property
    def entries_in_memory(self) -> int:
        """How many files are known without a look into the ledger."""
        return len(self._entries)

    @property
    def under_way(self) -> "asyncio.Future[None] | None":
        """The checkpoint under way, to wait for."""
        return self._checkpoint

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is under way."""
        return self._checkpoint is not None and not self._checkpoint.done()

    async def add(self, record_runs: Iterable[RecordRun | Record]) -> bool:
        """Append the rows of these records to their files; True when a source's end came with them."""
        piles, ends = arrange(record_runs)
        await self._append(piles)
        self._finisher.take_ends(ends)
        return bool(ends)

    async def add_rejections(self, record_runs: Iterable[RecordRun | Record]) -> bool:
        """Append these records to the file of rejected rows."""
        await self._append(arrange_rejections(record_runs))
        return False

    async def _append(self, piles: dict[bytes, list[Run]]) -> None:
        now = self._clock() if self._rolling.rule.rolls else 0.0
        entries = await self._find(piles)
        addends: list[Addend] = []
        for key, runs in piles.items():
            entry, layout = entries[key], await self._layout(key)
            addends += self._cut(entry, layout, runs) if self._rolling.rule.rolls else [Addend(entry, layout, runs)]
        addends = await self._claim(addends, now)
        with OutputRoot(self._root) as output:
            for addend in addends:
                self._write(output, addend, now)

    def _write(self, output: OutputRoot, addend: Addend, now: float) -> None:
        entry = addend.entry
        addition = render(addend.runs, addend.layout, empty=entry.length == 0, open_line=entry.open_line)
        self._files.append(output, entry.path, entry.length, addition.data)
        entry = replace(
            entry,
            length=entry.length + len(addition.data),
            rows=entry.rows + addition.rows,
            checksum=crc32(addition.data, entry.checksum),
            open_line=addition.open_line,
            changed_at=now,
        )
        if addend.full:
            self._finish(entry)
        else:
            self._entries.change(entry)

    def _cut(self, entry: Entry, layout: Layout, runs: Sequence[Run]) -> list[Addend]:
        """The rows as they go into the category's open file and into those that come after it."""
        size = entry.length if entry.path else len(layout.header_line)
        cut = portions(
            spelled_out(runs, layout),
            self._rolling.limits,
            size=size,
            rows=entry.rows,
            header=len(layout.header_line),
        )
        addends = []
        for number, portion in enumerate(cut):
            into = entry if number == 0 else Entry(entry.key, "", part=entry.part + number)
            addends.append(Addend(into, replace(layout, to_rows=None), portion.runs, portion.full))
        return addends

    def _finish(self, entry: Entry) -> None:
        self._files.let_go(entry.path)
        self._entries.finish(entry)

    async def _find(self, keys: Collection[bytes]) -> dict[bytes, Entry]:
        """The entries of these keys: from memory, from the ledger, or new."""
        found = {key: entry for key in keys if (entry := self._entries.find(key)) is not None}
        missing = [key for key in keys if key not in found]
        if missing:
            found |= await _in_thread(self._looking, self._ledger.find, missing)
            first = 1 if self._rolling.rule.rolls else 0
            found |= {key: Entry(key, "", part=first) for key in missing if key not in found}
        return found

    async def _claim(self, addends: list[Addend], now: float) -> list[Addend]:
        """Enter new files in the ledger before they are made: a file that no ledger knows is never touched."""
        if all(addend.entry.path for addend in addends):
            return addends
        claimed = [
            addend if addend.entry.path else replace(addend, entry=await self._named(addend.entry, now))
            for addend in addends
        ]
        new = [after.entry for before, after in zip(addends, claimed, strict=True) if not before.entry.path]
        await self._enter(new)
        return claimed

    async def _enter(self, entries: Sequence[Entry]) -> None:
        with OutputRoot(self._root) as output:
            for entry in entries:
                check_free(output, entry.path)
                if entry.final:
                    check_free(output, entry.final)
        await _in_thread(self._looking, self._ledger.commit, {}, Changes(entries))

    async def _named(self, entry: Entry, now: float) -> Entry:
        """The entry with its file's path."""
        if entry.key == REJECTED_KEY:
            return replace(entry, path=_REJECTED_PATH)
        schema, split, category = parse_category_key(entry.key)
        number = (await self._schemas.find(schema)).number
        date = datetime.fromtimestamp(now, UTC).date().isoformat()
        self._finisher.note_begun(now)
        place = self._rolling.rule.place(split, category, number, entry.part, date)
        return replace(entry, path=place.path, final=place.final, began_at=now, changed_at=now)

    def end(self) -> None:
        """Finish what has been begun: nothing more is to come."""
        self._finisher.end()

    @property
    def at_rest(self) -> bool:
        """Whether all is safe, and what `end` asked for is done."""
        return self._finisher.at_rest and not (self.dirty or self._checkpoint)

    async def finish_due(self) -> None:
        """Finish the files whose time has come; they get their last names behind the next checkpoint."""
        for entry in await self._finisher.find_due(self._look_up_due, self._as_it_is):
            self._finish(entry)

    async def _look_up_due(self, due: Due) -> Sequence[Entry]:
        return await _in_thread(self._looking, self._ledger.due, due.begun_by, due.changed_by, _MAX_DUE)

    def _as_it_is(self, known: Entry) -> Entry:
        return self._entries.find(known.key) or known

    async def _layout(self, key: bytes) -> Layout:
        if key == REJECTED_KEY:
            return REJECTED_LAYOUT
        schema, _, _ = parse_category_key(key)
        layout = self._layouts.get(schema)
        if layout is None:
            layout = layout_of((await self._schemas.find(schema)).schema)
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[schema] = layout
        return layout

    async def begin_checkpoint(self, next_offset: int) -> None:
        """Begin to make safe what is written so far: `next_offset` is the first record that is not in it.

        Files may be added to meanwhile: the ledger gets their lengths as they are now.
        """
        await self.settle()
        await self._finisher.has_room()
        changes = self._entries.begin_checkpoint()
        folders = self._files.take_new_folders()
        facts = {_NEXT_OFFSET: str(next_offset)}
        if (ends := self._finisher.ends) is not None:
            facts[_ENDS] = ends
        self._next_offset = next_offset
        self._checkpoint = _in_thread(self._checkpointing, self._make_safe, facts, changes, folders)

    def _make_safe(self, facts: dict[str, str], changes: Changes, folders: Collection[str]) -> None:
        # First the files, then the ledger: it must never know of bytes that a power cut could take. One that is given
        # up because nobody waits for it any more, at `close`, leaves the ledger as it was.
        if make_durable(self._root, changes.paths, folders, self._closing.is_set):
            self._ledger.commit(facts, changes)
            # Only now: what has its last name must not be cut back and added to.
            self._finisher.begin(changes.finished)

    async def settle(self) -> None:
        """Wait until no checkpoint is under way."""
        if self._checkpoint is not None:
            await self._checkpoint
            self._checkpoint = None
            self._entries.end_checkpoint()

    def close(self) -> None:
        """Close files and ledger, once nothing uses them. This blocks: it must not be cut short."""
        self._closing.set()
        self._looking.shutdown(wait=True)
        self._checkpointing.shutdown(wait=True)
        # After the checkpoint, which gives it its work.
        self._finisher.close()
        self._files.close()
        self._ledger.close()


def _in_thread(thread: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
    return asyncio.get_running_loop().run_in_executor(thread, function, *arguments)
