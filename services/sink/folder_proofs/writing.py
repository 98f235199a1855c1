"""Writing manifest and data package: from the ledgers of all partitions, in a thread."""

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TypeVar, TypeVarTuple

from msgspec import Struct

from common.errors import ServiceError
from common.pipeline.schema_numbers import Schemas
from common.protocol.identity import NEWEST
from common.protocol.output_folder import MANIFEST, PACKAGE, UNDER_WAY
from services.sink.disk.open_files import changed
from services.sink.disk.output_root import OutputRoot
from services.sink.folder_proofs.descriptor import encode_package, encode_table, rejected_table
from services.sink.folder_proofs.listing import OF_REJECTED, Listed, ManifestListing
from services.sink.folder_proofs.renaming import create, publish, take_back, write
from services.sink.folder_proofs.seal import SealState, seal_state_of
from services.sink.ledger.inventory import count_in_place, files_in_place, files_never_finished
from services.sink.rendering import rejected_layout
from services.sink.rolling.finished_files import GivenUpError, chunks_of, sums_of
from services.sink.threads import in_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_NS = 10**9


class Folder(Struct, frozen=True):
    """An output folder: its id, the ledgers of its partitions, the version of sink, and the format it was begun in."""

    root: Path
    ledgers: Sequence[Path]
    id: str
    nacre: str
    begun: int = NEWEST


def find_unsealed(folder: Folder) -> tuple[str, SealState] | None:
    """The first partition that is not final, by its ledger's name; those that a service fills come before others."""
    with _clear_errors(folder.root):
        states = [(seal_state_of(ledger), ledger.stem) for ledger in folder.ledgers]
    found = [(name, state) for state, name in states if state is not SealState.SEALED]
    return min(found, key=lambda each: each[1] is not SealState.SERVICE, default=None)


class FolderWriter:
    """Writes manifest and data package of a folder, as far as they are in `wanted`. One call at a time."""

    def __init__(self, folder: Folder, wanted: Collection[str], schemas: Schemas) -> None:
        self._folder = folder
        self._names = [name for name in (MANIFEST, PACKAGE) if name in wanted]
        self._schemas = schemas
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="folder-proofs")
        self._closing = Event()
        self._listing: ManifestListing | None = None
        # How many files of each ledger were in place when they were last written of.
        self._counts: Sequence[int] = ()

    async def update(self) -> None:
        """Write of the finished files, if there are others than the last time."""
        counts = await self.run(self._changed_counts)
        if counts and await self.write(is_final=False):
            self._counts = counts

    async def write(self, *, is_final: bool) -> bool:
        """Write about the finished files and, if everything is final, also about those that are never finished.

        False if it was taken back meanwhile, or if not everything is final.
        """
        if not self._names:
            return True
        moment_ns = time.time_ns()
        schemas = await self.run(self._list, is_final)
        if schemas is None:
            return False
        tables = {schema: await self._table_of(schema) for schema in schemas}
        is_written = await self.run(self._put, tables, moment_ns)
        await self.run(self._drop_listing)
        return is_written

    async def run(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Call a function in the thread: `close` waits for it. GivenUpError behind `close`."""
        if self._closing.is_set():
            raise GivenUpError
        return await in_thread(self._thread, function, *arguments)

    async def _table_of(self, schema: str) -> bytes:
        if schema == OF_REJECTED:
            return rejected_table(rejected_layout(self._folder.begun).header_line.rstrip())
        return encode_table((await self._schemas.find(schema)).schema)

    def _changed_counts(self) -> Sequence[int]:
        """How many files of each ledger are in place; nothing if that is written already, or if there are none."""
        with _clear_errors(self._folder.root), OutputRoot(self._folder.root) as output:
            counts = [count_in_place(ledger) for ledger in self._folder.ledgers if ledger.exists()]
            is_written = counts == self._counts and all(output.status(name) is not None for name in self._names)
        return counts if any(counts) and not is_written else ()

    def _list(self, is_final: bool) -> Sequence[str] | None:  # noqa: FBT001 - its caller has a name for it
        """List the files, and return the ids of their schemas; None if it is taken back, or not everything is final."""
        root, ledgers = self._folder.root, [ledger for ledger in self._folder.ledgers if ledger.exists()]
        # Before the ledgers are read: see `renaming`.
        create(root, self._names)
        with _clear_errors(root), OutputRoot(root) as output, suppress(_TakenBackError):
            if is_final and find_unsealed(self._folder) is not None:
                return None
            self._drop_listing()
            self._listing = ManifestListing(root)
            for ledger in ledgers:
                self._listing.add(self._unless_closing(files_in_place(ledger)))
                if is_final:
                    self._listing.add(self._summed(output, file) for file in files_never_finished(ledger))
            return self._listing.schemas()
        return None

    def _summed(self, output: OutputRoot, file: tuple[bytes, str, int]) -> Listed:
        key, path, length = file
        size, sums = 0, None
        if output.status(path) is not None:
            with os.fdopen(output.open(path, os.O_RDONLY), "rb") as opened:
                sums = sums_of(chunks_of(opened, self._closing.is_set))
            size = sums.size
        if sums is None or size != length:
            if any(output.status(name + UNDER_WAY) is None for name in self._names):
                # The next run has appended to it.
                raise _TakenBackError
            raise changed(output, path, size, length)
        return key, path, sums

    def _put(self, tables: dict[str, bytes], moment_ns: int) -> bool:
        folder, listing = self._folder, self._listing
        with _clear_errors(folder.root):
            if not listing:
                # A data package has one file at least, and `sha256sum` wants a line.
                take_back(folder.root, self._names)
                return True
            moment = datetime.fromtimestamp(moment_ns / _NS, UTC)
            contents: Mapping[str, Iterable[bytes]] = {
                MANIFEST: listing.lines(),
                PACKAGE: encode_package(moment, folder.id, folder.nacre, listing.resources(tables)),
            }
            is_written = [
                write(folder.root, name, self._unless_closing(contents[name]), moment_ns) for name in self._names
            ]
            return all(is_written) and publish(folder.root, self._names)

    def _unless_closing(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if self._closing.is_set():
                raise GivenUpError
            yield item

    def close(self) -> None:
        """Give up what is under way, and wait for the thread."""
        self._closing.set()
        self._thread.shutdown(wait=True)
        self._drop_listing()

    def _drop_listing(self) -> None:
        if self._listing is not None:
            self._listing.close()
            self._listing = None


class _TakenBackError(Exception):
    """Another sink has taken back what is being written."""


@contextmanager
def _clear_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ServiceError(f"the ledgers in {root} cannot be read for {MANIFEST} and {PACKAGE}: {error}") from error
