"""The files that INPUT names, where they are, what they are called in every topic, and which file each is."""

import math
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from glob import has_magic
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from common.errors import ConfigurationError
from common.escaping import escaped
from services.ingest.delivered.names import is_aside
from services.ingest.files.listing import Listing, is_csv, is_output, special_kind
from services.ingest.naming.globs import Glob, glob_of
from services.ingest.naming.locations import FoundFile, Moved
from services.ingest.naming.renames import Renames

STANDARD_INPUT = "-"
# A shell turns `<(...)` into such a name too.
_DESCRIPTOR = re.compile(r"/dev/stdin|/(?:dev|proc/self)/fd/([0-9]+)")
# Stop trying after so many: files may be renamed all the time.
_MOST_TRIES = 10
# A byte of a name that is not UTF-8, as text; and the backslash of a name that only looks like this.
_ESCAPED = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


class InputError(ConfigurationError, OSError):
    """INPUT itself is not there, or cannot be looked into.

    Before the service has begun this ends it, like a wrong setting. Once it runs, this is a failure of the disk like
    any other: a folder that was there may come back.
    """


class Input(Struct, frozen=True):
    """What INPUT names now: files, the errors of folders, and what is left out, by name, with the reason."""

    files: Mapping[str, Path]
    errors: Sequence[OSError] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    # The files among them that are links: what they lead to lies elsewhere.
    links: Sequence[str] = ()
    # Files beside them that are on their way out, by name.
    aside: Sequence[str] = ()


def is_stream(given: str) -> bool:
    """Whether INPUT can be read only once, as it comes: standard input, a descriptor, a named pipe or a terminal."""
    if descriptor_of(given) is not None:
        return True
    try:
        mode = Path(given).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def descriptor_of(given: str) -> int | None:
    """The open descriptor that INPUT names."""
    match = _DESCRIPTOR.fullmatch("/dev/stdin" if given == STANDARD_INPUT else given)
    return int(match[1] or 0) if match else None


def find_files(
    given: str, enter: Callable[[str], None] = lambda _: None, without: Path | None = None, *, may_be_gone: bool = False
) -> Input:
    """The files that INPUT names now, by source name (the absolute path as text), sorted.

    `enter` is called with each folder before it is listed. Nothing in the folder `without` is input. InputError if a
    path without wildcards is not there, unless it `may_be_gone`, or cannot be looked into.
    """
    try:
        found = _find(given, Listing(enter, _identity_of(without)), may_be_gone=may_be_gone)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"INPUT {given}: cannot read {escaped(error.filename or given)}: {error.strerror}") from error
    files = {source_name(path): path for path in map(Path, sorted(found.files))}
    left_out = {source_name(Path(path)): why for path, why in found.left_out.items()}
    links = [source_name(Path(path)) for path in found.links]
    return Input(files, found.errors, left_out, links, [source_name(Path(path)) for path in found.aside])


def _identity_of(folder: Path | None) -> tuple[int, int] | None:
    if folder is None or not folder.is_dir():
        return None
    found = folder.stat()
    return found.st_dev, found.st_ino


def _find(given: str, found: Listing, *, may_be_gone: bool) -> Listing:
    path = Path(given).absolute()
    if path.is_dir():
        # `walk` only collects errors, and this folder has to raise if it cannot be listed.
        with os.scandir(path):
            found.walk(os.fspath(path))
    elif path.exists():
        if special := special_kind(path.stat().st_mode):
            raise InputError(f"INPUT {given} is {special}, which cannot be read as a file")
        found.enter(os.fspath(path.parent))
        found.files.append(os.fspath(path))
        found.links.append(os.fspath(path))
    elif has_magic(given):
        found.match(_glob(given))
    elif may_be_gone and path.parent.is_dir():
        found.enter(os.fspath(path.parent))
    else:
        raise InputError(f"INPUT {given}: there is no such file or folder")
    return found


def _glob(given: str) -> Glob:
    """INPUT as a glob of absolute paths; a glob that ends with a slash names folders, so no file."""
    segments = Path(given).absolute().parts[1:]
    return glob_of(*segments, "") if given.endswith(("/", "/.")) else glob_of(*segments)


def file_of(status: os.stat_result) -> str:
    """Which file this is, whatever it is called."""
    return f"{status.st_dev}:{status.st_ino}"


def find_filter(given: str) -> Callable[[str], bool]:
    """A cheap check of whether INPUT may name a path, by its last name alone."""
    path = Path(given).absolute()
    if path.is_dir():
        return lambda candidate: is_csv(candidate.rpartition("/")[2])
    if path.exists() or not has_magic(given):
        return os.fspath(path).__eq__
    last = glob_of(_glob(given).segments[-1])
    return lambda candidate: last.is_whole(last.after(last.begin(), candidate.rpartition("/")[2]))


def look_at(files: Mapping[str, Path]) -> dict[str, FoundFile]:
    """Each file as it is now, without those that have gone since; one whose status cannot be read has only its path."""
    looked_at = ((name, _found(path)) for name, path in files.items())
    return {name: found for name, found in looked_at if found and (found.file or os.path.lexists(found.path))}


def _found(path: Path) -> FoundFile | None:
    try:
        status = path.stat()
    except OSError:
        return FoundFile(os.fspath(path))
    if special_kind(status.st_mode) is not None:
        # It changed since it was listed: the next look leaves it out.
        return None
    return FoundFile(os.fspath(path), file_of(status), status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def find_moved(given: str, renames: Renames, read: Callable[[], None], without: str = "") -> dict[str, Moved]:
    """The files that were renamed out of the input, each as it is now, by `file_of`; the first renamed first.

    `read` brings `renames` up to date. Those that were renamed too often meanwhile are `renames.unsettled` from now on;
    they are left out, and so are those that had the same name after them. Nothing in the folder `without` was input.
    """
    files: dict[int, FoundFile | None] = {}
    for _ in range(_MOST_TRIES):
        former_names = {path: former for path, former in renames.former_names.items() if former.number not in files}
        found = {path: _found(Path(path)) for path in former_names}
        read()
        # If a file was renamed again before its status was read, another would be taken for it.
        still = {path: former for path, former in former_names.items() if renames.former_names.get(path) == former}
        files |= {former.number: found[path] for path, former in still.items()}
        renames.unsettled = {former.number for former in renames.former_names.values()} - files.keys()
        first = renames.first_unsettled()
        if not first:
            break
    moved = {}
    for path, former in sorted(renames.former_names.items(), key=lambda each: each[1].number):
        file, home = files.get(former.number), source_name(Path(former.path))
        if former.number >= first.get(former.path, math.inf):
            continue
        if file is not None and file.file and may_name(given, home, without):
            moved[file.file] = Moved(home, source_name(Path(path)), replace(file, path=path))
    return moved


def look_beside(lost: Mapping[str, str]) -> dict[str, tuple[str, FoundFile]]:
    """Those of these files, given with their last paths, that are in the same folder under another name, with that.

    An editor's backup copy, whose name ends with ~, is not taken for the source, and a file set aside is not followed.
    """
    beside: dict[str, tuple[str, FoundFile]] = {}
    inodes = {int(file.rpartition(":")[2]) for file in lost}
    for folder in {os.path.dirname(path_of(path)) for path in lost.values()}:  # noqa: PTH120 - of text, thousands at once
        try:
            with os.scandir(folder) as entries:
                # Compare inodes, which entries come with: anything else takes a system call for each.
                paths = [Path(each.path) for each in entries if each.inode() in inodes and not _is_passing(each.name)]
        except OSError:
            continue
        for path in paths:
            found = _found(path)
            if found is not None and found.file in lost:
                beside[found.file] = (source_name(path), found)
    return beside


def _is_passing(name: str) -> bool:
    return name.endswith("~") or is_aside(name)


def may_name(given: str, name: str, without: str = "") -> bool:
    """Whether INPUT would name a file with this source name if it were there, as `find_files` does.

    Nothing in the folder `without` is input.
    """
    path, file = Path(given).absolute(), path_of(name)
    if is_aside(file.name) or (without and name.startswith(f"{without}/")):
        return False
    # pathlib raises for a path whose status cannot be read, os.path does not.
    if os.path.isdir(path):  # noqa: PTH112
        if path not in file.parents or not is_csv(file.name):
            return False
        folders = file.parents[: len(file.parents) - len(path.parents) - 1]
        return not any(
            folder.name.startswith(".") or os.path.islink(folder) or is_output(folder)  # noqa: PTH114
            for folder in folders
        )
    if file == path or os.path.exists(path) or not has_magic(given):  # noqa: PTH110
        return file == path
    glob = _glob(given)
    positions = glob.begin()
    for folder in [*reversed(file.parents[:-1]), file]:
        is_named = folder.name in glob.known_names(positions)
        positions = glob.after(positions, folder.name)
        if not is_named and folder != file and is_output(folder):
            return False
    return glob.is_whole(positions)


def source_name(path: Path) -> str:
    """A file's name in every topic: its absolute path, as text even if it is not UTF-8."""
    return escaped(_ESCAPED.sub(r"\\x5cx\1", os.fspath(path.absolute())))


def path_of(name: str) -> Path:
    """The absolute path of a file with this source name."""
    return Path(_ESCAPED.sub(lambda byte: os.fsdecode(bytes([int(byte[1], 16)])), name))


def source_key(name: str) -> bytes:
    """The key of a source's rows: short, because every row has it."""
    return blake2b(name.encode(), digest_size=6).hexdigest().encode()
