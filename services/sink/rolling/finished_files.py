"""Finishing files: each gets its final name in one step, packed or not, and never changes again.

Before anything here begins, the ledger knows that the file is to be finished, and its length. Before the file or its
packed copy gets the final name, the ledger knows its sums, and that a copy is complete. So each step can be repeated
after a crash, and no file gets its final name twice: a program that takes finished files away would take it twice.
"""

import gzip
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Literal

import structlog

from common.errors import ServiceError
from common.protocol.output_folder import UNDER_WAY
from services.sink.disk.durability import make_durable
from services.sink.disk.errors import naming
from services.sink.disk.open_files import changed
from services.sink.disk.output_root import OutputRoot
from services.sink.ledger.entries import Entry, Sums

log = structlog.get_logger()

Packing = Literal["none", "gzip", "zstd"]
SUFFIXES: dict[Packing, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_CHUNK_BYTES = 2**20


def prepare(
    root: Path, entries: Iterable[Entry], given_up: Callable[[], bool], *, keeps_sums: bool
) -> dict[Entry, Sums | None] | None:
    """Write a packed copy beside each of these files that is to be packed, and sum what is to have the final name.

    Return those that are packed or summed, with their sums; None if given up. Neither then nor after an error is a copy
    left. A file that something else has removed has no sums. Without `keeps_sums`, only copies are summed.
    """
    prepared: dict[Entry, Sums | None] = {}
    copies: list[str] = []
    is_done = False
    with OutputRoot(root) as output:
        try:
            for entry in entries:
                packing = packing_of(entry.final)
                if packing != "none":
                    copies.append(entry.final + UNDER_WAY)
                elif not keeps_sums:
                    continue
                if (sums := _prepared(output, entry, packing, given_up)) or packing != "none":
                    prepared[entry] = sums
            is_done = make_durable(root, [], {path.rpartition("/")[0] for path in copies}, given_up)
        except GivenUpError:
            return None
        finally:
            if not is_done:
                # Also after an error: what half a copy takes on a full disk, the next start would lack.
                _remove_copies(output, copies)
    return prepared if is_done else None


def _remove_copies(output: OutputRoot, paths: Iterable[str]) -> None:
    for path in paths:
        # One that stays hides no error and no other copy: the next start removes it.
        with suppress(OSError, ServiceError):
            output.remove(path)


def remove_copies(root: Path, entries: Iterable[Entry]) -> None:
    """Remove the packed copy beside each of these files, complete or not."""
    with OutputRoot(root) as output:
        for entry in entries:
            if packing_of(entry.final) != "none":
                output.remove(entry.final + UNDER_WAY)


def put_in_place(root: Path, entries: Collection[Entry]) -> None:
    """Give these files, or their packed copies, their final names, and make the names durable.

    A stop does not interrupt it: half done, it would leave packed copies beside the files that they were made from.
    """
    with OutputRoot(root) as output:
        for entry in entries:
            _rename(output, entry)
        make_durable(root, [], {entry.path.rpartition("/")[0] for entry in entries}, lambda: False)
        # After the sync: otherwise a power cut could take the packed file's name and leave neither.
        for entry in entries:
            if packing_of(entry.final) != "none":
                output.remove(entry.path)


def _rename(output: OutputRoot, entry: Entry) -> None:
    is_packed = packing_of(entry.final) != "none"
    ready = entry.final + UNDER_WAY if is_packed else entry.path
    status = output.status(ready)
    if status is None:
        # It was renamed before a crash. A program that takes finished files away may have taken it since.
        if output.status(entry.final) is None:
            log.warning("a finished file is not there: taken away already?", path=entry.final)
        return
    if not is_packed and status.st_size != entry.length:
        raise changed(output, entry.path, status.st_size, entry.length)
    output.rename(ready, entry.final)


def packing_of(path: str) -> Packing:
    """How a finished file is packed, by its name: COMPRESS may have changed since the file was named."""
    return next((packing for packing, suffix in SUFFIXES.items() if suffix and path.endswith(suffix)), "none")


def _prepared(output: OutputRoot, entry: Entry, packing: Packing, given_up: Callable[[], bool]) -> Sums | None:
    """Write a packed copy and make it durable, if the file is to be packed; return the sums of what is to remain."""
    status = output.status(entry.path)
    if status is None:
        # Something else removed the file, so a copy that may be left is incomplete.
        if packing != "none":
            output.remove(entry.final + UNDER_WAY)
        return None
    if status.st_size != entry.length:
        raise changed(output, entry.path, status.st_size, entry.length)
    with os.fdopen(output.open(entry.path, os.O_RDONLY), "rb") as file:
        chunks = chunks_of(file, given_up)
        if packing == "none":
            return sums_of(chunks)
        # Closing it writes as well, and may fail once more after an error.
        with _written(output, entry.final + UNDER_WAY) as packed:
            summed = _Summed(packed)
            with _packer(packing, summed) as packer:
                for chunk in chunks:
                    packer.write(chunk)
            packed.flush()
            os.fsync(packed.fileno())
            return summed.sums


def sums_of(chunks: Iterable[bytes]) -> Sums:
    """The sums of a file's bytes."""
    size, digest = 0, sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return Sums(size, digest.hexdigest())


def chunks_of(file: IO[bytes], given_up: Callable[[], bool]) -> Iterator[bytes]:
    """Yield what is in a file, unless given up: GivenUpError."""
    while chunk := file.read(_CHUNK_BYTES):
        if given_up():
            raise GivenUpError
        yield chunk


class GivenUpError(Exception):
    """A stop has come."""


class _Summed:
    """A file that is written and summed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = 0
        self._digest = sha256()

    @property
    def sums(self) -> Sums:
        """The sums of what was written."""
        return Sums(self._size, self._digest.hexdigest())

    def write(self, data: bytes) -> int:
        """Write the bytes."""
        self._size += len(data)
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


@contextmanager
def _written(output: OutputRoot, path: str) -> Iterator[IO[bytes]]:
    descriptor = output.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with naming(output.root / path), os.fdopen(descriptor, "wb") as file:
        yield file


def _packer(packing: Packing, packed: Any) -> AbstractContextManager[Any]:
    if packing == "zstd":
        # Imported here, because most sinks have no need of it.
        import zstandard  # noqa: PLC0415

        return zstandard.ZstdCompressor(write_checksum=True).stream_writer(packed, closefd=False)
    # Without time and name, so that a file that is packed again after a crash has the same bytes.
    return gzip.GzipFile("", "wb", fileobj=packed, mtime=0)
