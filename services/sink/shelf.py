"""One partition's files and their ledger: brought to the ledger's state, added to, checkpointed."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, Protocol, TypeVar

from aiokafka import ConsumerRecord

from common.errors import ServiceError
from common.records import parse_category_key
from common.registry import Registered
from services.sink.arranging import (
    REJECTED_KEY,
    REJECTED_LAYOUT,
    Layout,
    Run,
    arrange,
    arrange_rejections,
    layout_of,
    render,
)
from services.sink.durability import make_durable
from services.sink.entries import Entries, Entry
from services.sink.files import OpenFiles, check_free, check_room, cut_back
from services.sink.ledger import Ledger, check_ledger
from services.sink.names import file_path
from services.sink.tree import Tree

T = TypeVar("T")

_REJECTED_PATH = "rejected.csv"
_NEXT_OFFSET = "next_offset"
_CLUSTER = "cluster"
_MAX_LAYOUTS = 1_000


class Schemas(Protocol):
    """Where schemas are looked up."""

    async def find(self, schema_id: str) -> Registered:
        """The schema with this id."""


class Shelf:
    """The files of one partition. `add` writes; a checkpoint makes safe what is written; `open` begins from there.

    However many files there are, few are in memory: those that changed lately, see `Entries`.
    """

    def __init__(self, root: Path, ledger_path: str, schemas: Schemas) -> None:
        self._root = root
        self._hidden, _, name = ledger_path.rpartition("/")
        with Tree(root) as tree:
            # Before the ledger is opened, which takes room itself.
            check_room(tree, f"{ledger_path}.room")
            check_ledger(tree, ledger_path)
            self._ledger = Ledger(root / ledger_path)
        # Two threads: who looks an entry up does not wait until a checkpoint is through with its files. A task that
        # waits for one may be cancelled, the thread may not: `close` waits for it, because behind that the partition's
        # lock is given back.
        self._looking = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._checkpointing = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-checkpoint")
        self._closing = Event()
        self._files = OpenFiles()
        self._schemas = schemas
        self._entries = Entries()
        self._layouts: dict[str, Layout] = {}
        self._checkpoint: asyncio.Future[None] | None = None

    async def open(self, cluster: str) -> int | None:
        """Cut every file back to the ledger; return the next offset, None at the first start.

        ServiceError when the ledger is of another Kafka cluster, whose offsets mean other records.
        """
        return await _in_thread(self._looking, self._open, cluster)

    def _open(self, cluster: str) -> int | None:
        facts = self._ledger.facts()
        known = facts.get(_CLUSTER)
        if known is None:
            self._ledger.commit({_CLUSTER: cluster}, [])
        elif known != cluster:
            raise ServiceError(
                f"{self._root} holds the output of Kafka cluster {known}, this is {cluster}: set another OUTPUT_DIR"
            )
        # The ledger's own name may be new. And a disk that makes nothing safe is seen before a file is cut back and
        # written to in vain.
        make_durable(self._root, [], [self._hidden, ""], self._closing.is_set)
        # All files, not those alone that were written to since the last checkpoint: these would have to be noted, safe
        # from a power cut, before they are written to: a wait for the disk each time, to save a start 10 us a file.
        with Tree(self._root) as tree:
            for path, length in self._ledger.lengths():
                if self._closing.is_set():
                    break
                cut_back(tree, path, length)
        return int(facts[_NEXT_OFFSET]) if _NEXT_OFFSET in facts else None

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

    async def add(self, records: Sequence[ConsumerRecord]) -> bool:
        """Append the rows of these records to their files; True when a source's end came with them."""
        piles, ended = arrange(records)
        await self._append(piles)
        return ended

    async def add_rejections(self, records: Sequence[ConsumerRecord]) -> bool:
        """Append these records to the file of rejected rows."""
        piles, ended = arrange_rejections(records)
        await self._append(piles)
        return ended

    async def _append(self, piles: dict[bytes, list[Run]]) -> None:
        entries = await self._find(piles)
        layouts = [await self._layout(key) for key in piles]
        with Tree(self._root) as tree:
            for (key, runs), layout in zip(piles.items(), layouts, strict=True):
                entry = entries[key]
                addition = render(runs, layout, empty=entry.length == 0, open_line=entry.open_line)
                self._files.append(tree, entry.path, entry.length, addition.data)
                self._entries.change(
                    replace(
                        entry,
                        length=entry.length + len(addition.data),
                        tally=entry.tally + addition.tally,
                        open_line=addition.open_line,
                    )
                )

    async def _find(self, keys: Collection[bytes]) -> dict[bytes, Entry]:
        """The entries of these keys: from memory, from the ledger, or new."""
        found = {key: entry for key in keys if (entry := self._entries.find(key)) is not None}
        missing = [key for key in keys if key not in found]
        if missing:
            found |= await _in_thread(self._looking, self._ledger.find, missing)
            found |= await self._claim([key for key in missing if key not in found])
        return found

    async def _claim(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Enter new files in the ledger before they are made: a file that no ledger knows is never touched."""
        if not keys:
            return {}
        entries = [Entry(key, await self._path(key)) for key in keys]
        with Tree(self._root) as tree:
            for entry in entries:
                check_free(tree, entry.path)
        await _in_thread(self._looking, self._ledger.commit, {}, entries)
        return {entry.key: entry for entry in entries}

    async def _path(self, key: bytes) -> str:
        if key == REJECTED_KEY:
            return _REJECTED_PATH
        schema, split, category = parse_category_key(key)
        return file_path(split, category, (await self._schemas.find(schema)).number)

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
        entries = self._entries.begin_checkpoint()
        folders = self._files.take_new_folders()
        self._checkpoint = _in_thread(self._checkpointing, self._make_safe, next_offset, entries, folders)

    def _make_safe(self, next_offset: int, entries: Sequence[Entry], folders: Collection[str]) -> None:
        # First the files, then the ledger: it must never know of bytes that a power cut could take. One that is given
        # up because nobody waits for it any more, at `close`, leaves the ledger as it was.
        if make_durable(self._root, (entry.path for entry in entries), folders, self._closing.is_set):
            self._ledger.commit({_NEXT_OFFSET: str(next_offset)}, entries)

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
        self._files.close()
        self._ledger.close()


def _in_thread(thread: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
    return asyncio.get_running_loop().run_in_executor(thread, function, *arguments)
