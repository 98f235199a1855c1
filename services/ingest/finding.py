"""The files that INPUT names, and where they are: what they are called in every topic, and which file each is."""

import glob
import os
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from hashlib import blake2b
from pathlib import Path

import structlog

from common.errors import ConfigurationError
from services.ingest.places import Found

log = structlog.get_logger()

STANDARD_INPUT = "-"
# Plain, gzip and zstd.
_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
# What sink keeps its ledgers in.
_OUTPUT_MARK = ".nacre"


class InputError(ConfigurationError, OSError):
    """INPUT itself is not there, or cannot be looked into.

    Before the service has begun that ends it, as a wrong setting. Once it runs it is a failure of the disk like any
    other: a folder that was there may come back.
    """


def find_files(given: str, on_error: Callable[[OSError], None] | None = None) -> dict[str, Path]:
    """The files that INPUT names now, by source name (the absolute path as text), sorted.

    Raises InputError when a path without wildcards is not there at all, or cannot be looked into. A folder further
    below that cannot be is handed to `on_error` instead.
    """
    try:
        found = _find(given, on_error)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"INPUT {given}: cannot read {error.filename or given}: {error.strerror}") from error
    return found


def _find(given: str, on_error: Callable[[OSError], None] | None) -> dict[str, Path]:
    path = Path(given)
    if path.is_dir():
        # What `os.walk` would keep to itself.
        with os.scandir(path):
            # As text: there may be thousands, and a Path costs ten times as much to look at as its file does.
            root = source_name(path).rstrip("/")
            return {f"{root}/{_text(below)}": path / below for below in sorted(_walk(path, on_error))}
    if path.exists():
        return {source_name(path): path}
    if glob.has_magic(given):
        matches = map(Path, sorted(glob.iglob(given, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute pattern
        return {source_name(match): match for match in matches if match.is_file()}
    raise InputError(f"INPUT {given}: there is no such file or folder")


def _walk(folder: Path, on_error: Callable[[OSError], None] | None) -> Iterator[str]:
    """The paths of input below a folder, seen from there."""
    for parent, folders, names in os.walk(folder, onerror=on_error):
        if _OUTPUT_MARK in folders and parent != os.fspath(folder):
            # What comes out would go in again, without end.
            _tell_left_out(parent)
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        inner = os.path.relpath(parent, folder) + "/" if parent != os.fspath(folder) else ""
        for name in names:
            if _is_csv(name):
                yield inner + name


@cache
def _tell_left_out(folder: str) -> None:
    log.warning("an output folder below INPUT is left out", folder=folder)


def _is_csv(name: str) -> bool:
    """Whether a file in a folder is input, by its name."""
    return not name.startswith(".") and name.lower().endswith(_SUFFIXES)


def file_of(stat: os.stat_result) -> str:
    """Which file this is, whatever it is called."""
    return f"{stat.st_dev}:{stat.st_ino}"


def look_at(files: Mapping[str, Path]) -> dict[str, Found]:
    """Each file as it is now, but those that have gone since; one that cannot be asked has no more than its path."""
    looked_at = ((name, _found(path)) for name, path in files.items())
    return {name: found for name, found in looked_at if found.file or os.path.lexists(found.path)}


def _found(path: Path) -> Found:
    try:
        stat = path.stat()
    except OSError:
        return Found(path)
    return Found(path, file_of(stat), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def look_beside(lost: Mapping[str, str]) -> dict[str, tuple[str, Found]]:
    """Those of these files (with their last paths) that are in the same folder under any other name, each with it.

    An editor's backup copy, whose name ends with ~, is not taken for the source.
    """
    beside: dict[str, tuple[str, Found]] = {}
    inodes = {int(file.rpartition(":")[2]) for file in lost}
    for folder in {os.path.dirname(path) for path in lost.values()}:  # noqa: PTH120 - of text, thousands at once
        try:
            with os.scandir(folder) as entries:
                # Its inode costs nothing, all else a question to the system.
                paths = [Path(each.path) for each in entries if each.inode() in inodes and not each.name.endswith("~")]
        except OSError:
            continue
        for path in paths:
            found = _found(path)
            if found.file in lost:
                beside[found.file] = (source_name(path), found)
    return beside


def may_name(given: str, name: str) -> bool:
    """Whether INPUT names a file with this source name, were it there."""
    path = Path(given)
    if path.is_dir():
        return name.startswith(source_name(path).rstrip("/") + "/") and _is_csv(name.rpartition("/")[2])
    return fnmatchcase(name, source_name(path)) or name == source_name(path)


def source_name(path: Path) -> str:
    """A file's name in every topic: its absolute path, as text also where it is not UTF-8."""
    return _text(os.fspath(path.absolute()))


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def source_key(name: str) -> bytes:
    """The key of a source's rows: short, because every row carries it."""
    return blake2b(name.encode(), digest_size=6).hexdigest().encode()
