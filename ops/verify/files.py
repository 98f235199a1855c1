"""The files of an output folder compared with their ledgers: are they there, how long are they, what do they hold.

A sink may be at work meanwhile. It only appends to a file, gives it its final name and perhaps packs it: as many first
bytes of a file as the ledger had stay what they were.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from common.protocol.output_folder import is_reserved
from ops.verify.entries import File, FileState
from ops.verify.ledgers import Ledgers
from ops.verify.report import Report, ReportedFinding
from ops.verify.unpacking import Packing, packing_by_name, unpacked_chunks

# Foreign files are looked for in a newer copy of the ledgers, so many at once.
_SUSPECTS = 1_000


def check_length(ledgers: Ledgers, file: File, report: Report) -> None:
    """Compare a file's length with its ledger's, without reading it; of a packed file only that it is there."""
    path = _locate(ledgers, file, report)
    if path is None:
        return
    try:
        size = (ledgers.root / path).stat().st_size
    except FileNotFoundError:
        # It has just got its final name.
        check_length(ledgers, ledgers.now(file)[0], report)
        return
    report.count("files")
    report.count("bytes", size)
    if packing_by_name(path) is Packing.NONE:
        _compare_length(ledgers, file, path, size, report)
    else:
        report.count("packed_files")


@contextmanager
def opened(ledgers: Ledgers, file: File, report: Report) -> Iterator[tuple[str, BinaryIO] | None]:
    """A file's path, and the file open for reading; None if it is not there or cannot be read, which is reported."""
    found = None
    while (path := _locate(ledgers, file, report)) is not None:
        try:
            found = path, os.fdopen(os.open(ledgers.root / path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except FileNotFoundError:
            # It has just got its final name.
            file, _ = ledgers.now(file)
            continue
        except OSError as error:
            report.differs.add(ReportedFinding("unreadable", f"{path} cannot be read: {error.strerror}", path))
        break
    try:
        yield found
    finally:
        if found is not None:
            found[1].close()


def read_checked(ledgers: Ledgers, file: File, path: str, content: BinaryIO, report: Report) -> Iterator[bytes]:
    """What a file holds, as far as its ledger knows it, in chunks; once all is read, what is wrong is reported."""
    packing = packing_by_name(path)
    left, size, checksum = file.length, 0, 0
    try:
        for chunk in unpacked_chunks(content, packing):
            size += len(chunk)
            known = chunk[:left]
            left -= len(known)
            checksum = crc32(known, checksum)
            if known:
                yield known
            if not left and packing is Packing.NONE:
                size = os.fstat(content.fileno()).st_size
                break
    except (OSError, ValueError) as error:
        report.differs.add(ReportedFinding("unreadable", f"{path} cannot be read: {error}", path))
        return
    report.count("files")
    report.count("bytes", file.length - left)
    if _compare_length(ledgers, file, path, size, report) and checksum != file.checksum:
        found, expected = f"{checksum:08x}", f"{file.checksum:08x}"
        text = f"{path}: the CRC-32 of its bytes is {found}, not {expected}"
        report.differs.add(ReportedFinding("checksum", text, path, found=found, expected=expected))


def _locate(ledgers: Ledgers, file: File, report: Report) -> str | None:
    """Where a file is. None if it is not there, which is reported: it was taken away, or it is missing."""
    for path in file.paths:
        if _is_file(ledgers.root / path):
            return path
    now, _ = ledgers.now(file)
    for path in now.paths:
        if _is_file(ledgers.root / path):
            return path
    if now.state is FileState.IN_PLACE:
        report.count("files_taken")
    elif file.length:
        report.differs.add(ReportedFinding("missing", f"{file.name} is not there", file.name))
    return None


def _compare_length(ledgers: Ledgers, file: File, path: str, size: int, report: Report) -> bool:
    """Whether the file has all that its ledger knows, and is no longer than it may be."""
    before: File | None = None
    while size > file.length and file.state is FileState.OPEN:
        # A sink may have added to it since, even behind what was seen here; or it died before its ledger knew of that,
        # and the next one cuts it off.
        now, may_be_longer = ledgers.now(file)
        if size <= now.length:
            return True
        if may_be_longer:
            report.count("bytes_not_safe_yet", size - file.length)
            return True
        if now == before:
            break
        # A sink may have cut the file off since. Only a size that is read between two equal answers counts.
        before = now
        try:
            size = (ledgers.root / path).stat().st_size
        except FileNotFoundError:
            # It has just got its final name.
            return True
    if size != file.length:
        text = f"{path} has {size:,} bytes, not {file.length:,}"
        report.differs.add(ReportedFinding("length", text, path, found=str(size), expected=str(file.length)))
    return size == file.length


def report_foreign_files(ledgers: Ledgers, report: Report) -> None:
    """Report every file that no ledger knows."""
    suspects: list[str] = []
    for path in _files_below(ledgers.root, report):
        if is_reserved(path) or _is_known(ledgers, path):
            continue
        suspects.append(path)
        if len(suspects) == _SUSPECTS:
            _report_foreign(ledgers.root, suspects, report)
            suspects = []
    if suspects:
        _report_foreign(ledgers.root, suspects, report)


def _report_foreign(root: Path, suspects: Iterable[str], report: Report) -> None:
    # Files that a sink has begun meanwhile: it enters a file in its ledger before it creates it.
    ledgers = Ledgers(root)
    try:
        for path in suspects:
            if not _is_known(ledgers, path) and os.path.lexists(root / path):
                shown = _shown(path)
                report.differs.add(ReportedFinding("foreign", f"{shown} is no file of these ledgers", shown))
    finally:
        ledgers.close()


def _is_known(ledgers: Ledgers, path: str) -> bool:
    is_text = not any("\ud800" <= sign <= "\udfff" for sign in path)
    return is_text and ledgers.has_name(path) and _is_file(ledgers.root / path)


def _files_below(root: Path, report: Report) -> Iterator[str]:
    """All that is no folder, by its path below the root. Links are not followed."""
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in _entries(root, folder, report):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            else:
                yield path


def _entries(root: Path, folder: str, report: Report) -> Iterator[os.DirEntry[str]]:
    """What is in a folder: nothing if it has gone, or if it cannot be listed, which is reported."""
    try:
        with os.scandir(root / folder) as entries:
            yield from entries
    except FileNotFoundError:
        return
    except OSError as error:
        shown = _shown(folder)
        text = f"{shown}/ cannot be listed ({error.strerror}): whether only sink's files are there is not seen"
        report.unseen.add(ReportedFinding("folder", text, shown))


def _shown(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _is_file(path: Path) -> bool:
    """Whether there is a regular file, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
