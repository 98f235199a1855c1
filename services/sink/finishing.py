"""A file that is finished gets its last name, packed or not, in one step; it is never changed again.

The ledger knows that it is to be finished, and has its last length, before anything here begins. So each step may be
done again after a crash.
"""

import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import structlog

from services.sink.disk_errors import naming
from services.sink.durability import make_durable
from services.sink.entries import Entry
from services.sink.files import changed
from services.sink.tree import Tree

log = structlog.get_logger()

Packing = Literal["none", "gzip", "zstd"]
SUFFIXES: dict[Packing, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_CHUNK_BYTES = 2**20
_UNDER_WAY = ".tmp"


def finish(root: Path, entries: Iterable[Entry], given_up: Callable[[], bool]) -> bool:
    """Give these files their last names, and make them safe. False when it was given up before that."""
    entries = list(entries)
    unpacked: list[str] = []
    with Tree(root) as tree:
        for entry in entries:
            if given_up() or not _finish(tree, entry, unpacked, given_up):
                return False
        if not make_durable(root, [], {entry.path.rpartition("/")[0] for entry in entries}, given_up):
            return False
        # Only now: a power cut must not take the packed file's name and leave neither.
        for path in unpacked:
            tree.remove(path)
    return True


def _finish(tree: Tree, entry: Entry, unpacked: list[str], given_up: Callable[[], bool]) -> bool:
    status = tree.status(entry.path)
    if status is None:
        # This was done before a crash. Whoever takes finished files away may have been here since.
        if tree.status(entry.final) is None:
            log.warning("a finished file is not there: taken away already?", path=entry.final)
        return True
    if status.st_size != entry.length:
        raise changed(tree, entry.path, status.st_size, entry.length)
    packing = packing_of(entry.final)
    if packing == "none":
        tree.rename(entry.path, entry.final)
        return True
    under_way = entry.final + _UNDER_WAY
    if not _pack(tree, entry.path, under_way, packing, given_up):
        tree.remove(under_way)
        return False
    tree.rename(under_way, entry.final)
    unpacked.append(entry.path)
    return True


def packing_of(path: str) -> Packing:
    """How a finished file is packed, by its name: settings may have changed since it got that."""
    return next((packing for packing, suffix in SUFFIXES.items() if suffix and path.endswith(suffix)), "none")


def _pack(tree: Tree, path: str, to: str, packing: Packing, given_up: Callable[[], bool]) -> bool:
    """Write a packed copy and make it safe; False when it was given up."""
    with _opened(tree, path, os.O_RDONLY) as file, _opened(tree, to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as packed:
        with naming(tree.root / to), _packer(packing, packed) as packer:
            while chunk := file.read(_CHUNK_BYTES):
                if given_up():
                    return False
                packer.write(chunk)
        with naming(tree.root / to):
            packed.flush()
            os.fsync(packed.fileno())
    return True


@contextmanager
def _opened(tree: Tree, path: str, flags: int) -> Iterator[IO[bytes]]:
    with os.fdopen(tree.open(path, flags), "rb" if flags == os.O_RDONLY else "wb") as file:
        yield file


def _packer(packing: Packing, packed: IO[bytes]) -> AbstractContextManager[Any]:
    if packing == "zstd":
        # Imported here because most have no need of it.
        import zstandard  # noqa: PLC0415

        return zstandard.ZstdCompressor(write_checksum=True).stream_writer(packed, closefd=False)
    # No time and no name in it: packed again after a crash it is the same.
    return gzip.GzipFile("", "wb", fileobj=packed, mtime=0)
