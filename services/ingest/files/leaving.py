"""The steps that a delivered file takes on its way out of INPUT, and where it is on this way."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from common.protocol.progress import Departure, DepartureStage, Progress
from services.ingest.delivered.decisions import (
    CHANGED,
    MOVED,
    Choice,
    FileFacts,
    Judgement,
    Sighting,
    is_unchanged,
    judge_content,
    judge_facts,
)
from services.ingest.delivered.names import first_free, numbered
from services.ingest.files.content import content_of, is_source_file
from services.ingest.files.finding import file_of, path_of
from services.ingest.files.reading import MovedError, moved
from services.ingest.files.renaming import rename_aside, rename_to_free
from services.ingest.naming.locations import FoundFile

T = TypeVar("T")

# Another name may be taken just before a file gets it.
_MOST_TRIES = 10


class GrownError(OSError):
    """A file that is on its way has changed."""


def call_each(call: Callable[..., T], asked: Mapping[str, tuple[Any, ...]]) -> tuple[dict[str, T], dict[str, OSError]]:
    """Call with the arguments of each source; return what came of it, and what failed."""
    done: dict[str, T] = {}
    failed: dict[str, OSError] = {}
    for source, arguments in asked.items():
        try:
            done[source] = call(*arguments)
        except OSError as error:
            failed[source] = error
    return done, failed


def judge_error(error: OSError) -> Judgement:
    """What becomes of a file with which something failed."""
    if isinstance(error, MovedError | FileNotFoundError):
        return MOVED
    if isinstance(error, GrownError):
        return CHANGED
    # A mount of the same file system has the same device, and is another one for renaming.
    choice = Choice.STAYS if error.errno == errno.EXDEV else Choice.HINDERED
    return Judgement(choice, f"{error.strerror or error}: {error.filename2 or error.filename}")


def file_facts_of(path: Path) -> FileFacts | None:
    """What the folder shows of this name; None if nothing has it."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    is_link = stat.S_ISLNK(found.st_mode)
    return FileFacts(file_of(found), found.st_size, found.st_mtime_ns, found.st_nlink, is_link)


def device_of(path: Path) -> int:
    """The device of this path, or of the nearest folder above it that exists."""
    for each in (path, *path.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            return each.stat().st_dev
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


def judge_file(progress: Progress, found: FoundFile, root: Path, folder: Path | None) -> Judgement:
    """Whether the file of a delivered source may leave the folder `root`, to this folder or to nowhere.

    OSError if it cannot be read.
    """
    path = Path(found.path)
    facts = file_facts_of(path)
    judgement = judge_facts(progress, facts, found.file)
    if facts is None or judgement.choice is not Choice.LEAVES:
        return judgement
    if not path.parent.resolve().is_relative_to(root.resolve()):
        return Judgement(Choice.STAYS, "a symbolic link leads to its folder")
    if folder is not None and device_of(folder) != device_of(path):
        return Judgement(Choice.STAYS, f"it is on another file system than {folder}")
    if not is_source_file(path, facts.file, progress):
        return CHANGED
    return judge_content(progress, facts.size, is_packed=content_of(path, facts.file).whole_only)


def sight(progress: Progress, departure: Departure) -> Sighting:
    """Where a file on its way is. If a renaming died between its two steps and left two names, remove the hidden one.

    OSError if that cannot be seen.
    """
    path, target = path_of(departure.path), path_of(departure.target) if departure.target else None
    aside = file_facts_of(path_of(departure.aside))
    if aside is not None:
        is_at_path, is_at_target = _is_file(path, aside.file), target is not None and _is_file(target, aside.file)
        if not is_at_path and not is_at_target:
            return Sighting(aside)
        path_of(departure.aside).unlink()
        return Sighting(None, is_at_path, is_at_target)
    is_reachable = departure.file.partition(":")[0] == str(path.parent.stat().st_dev) if path.parent.is_dir() else False
    # A device may have got another number, as after a restart of the machine.
    file = departure.file if is_reachable else ""
    is_at_target = target is not None and _holds(target, file, progress)
    # After this stage a file that begins as this one did may be a new one that was given the same inode.
    is_at_path = _holds(path, file, progress, may_have_grown=departure.stage is DepartureStage.ASIDE)
    return Sighting(None, is_at_path, is_at_target, is_reachable)


def _is_file(path: Path, file: str) -> bool:
    facts = file_facts_of(path)
    return facts is not None and facts.file == file


def _holds(path: Path, file: str, progress: Progress, *, may_have_grown: bool = False) -> bool:
    """Whether this is the source's file, and `file`, if that is given."""
    facts = file_facts_of(path)
    if facts is None or facts.is_link or file not in {"", facts.file}:
        return False
    if not may_have_grown and facts.size != progress.size:
        return False
    try:
        return is_source_file(path, facts.file, progress)
    except OSError:
        return False


def set_aside(departure: Departure) -> None:
    """Give a file its hidden name. MovedError if another file has its name by now."""
    path, aside = path_of(departure.path), path_of(departure.aside)
    if _is_file(aside, departure.file):
        # A replica that was late was quicker.
        return
    if not _is_file(path, departure.file):
        raise moved(path)
    rename_aside(path, aside)
    if not _is_file(aside, departure.file):
        # It was replaced a moment ago.
        give_name(aside, path)
        raise moved(path)


def put_back(departure: Departure) -> Path:
    """Give a file that was set aside its name again, or a numbered one if that is taken; return it."""
    return give_name(path_of(departure.aside), path_of(departure.path))


def give_name(aside: Path, path: Path) -> Path:
    """Give a file with a hidden name this one, or a numbered one if that is taken; return it."""
    for _ in range(_MOST_TRIES):
        free = free_path(path)
        with suppress(FileExistsError):
            rename_to_free(aside, free)
            return free
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))


def free_path(path: Path, taken: Iterable[Path] = ()) -> Path:
    """The path, or the next numbered one that no file has and that is not taken."""

    def with_number(number: int) -> Path:
        return path.with_name(numbered(path.name, number))

    given = set(taken)
    return with_number(first_free(lambda number: (it := with_number(number)) in given or os.path.lexists(it)))


def find_targets(folder: Path, base: Path, paths: Mapping[str, Path]) -> dict[str, Path]:
    """Where the file of each source is moved to: below `folder` as it was below `base`, under a name that is free."""
    targets: dict[str, Path] = {}
    for source, path in paths.items():
        wanted = folder / (path.relative_to(base) if path.is_relative_to(base) else path.name)
        targets[source] = free_path(wanted, targets.values())
    return targets


def leave(departure: Departure, progress: Progress) -> None:
    """Delete a file that was set aside, or move it to its target.

    FileExistsError if that name was taken meanwhile, and GrownError if somebody has written to the file.
    """
    aside = path_of(departure.aside)
    # Once more: since the last look this step was recorded, which takes as long as a commit.
    if (facts := file_facts_of(aside)) is not None and not is_unchanged(progress, facts):
        raise GrownError(errno.ESTALE, CHANGED.reason, os.fspath(aside))
    if not departure.target:
        aside.unlink()
        return
    target = path_of(departure.target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        # A file has the name of one of its folders: another target would not help.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None
    rename_to_free(aside, target)


def make_names_durable(departures: Sequence[Departure]) -> None:
    """Fsync the folders that these files have left or come to: what is recorded next must not be undone."""
    paths = [path_of(path) for each in departures for path in (each.path, each.target) if path]
    for folder in {path.parent for path in paths}:
        # A folder that was removed meanwhile has no names.
        with suppress(FileNotFoundError):
            _sync(folder)


def _sync(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        # It may be written to, not listed.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Not every file system can do this.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
