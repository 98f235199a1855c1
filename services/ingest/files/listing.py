"""Walking through folders: the regular files that a folder or a glob names, and what is left out, and why."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common.protocol.output_folder import HIDDEN
from services.ingest.naming.globs import Glob, Places

# Plain, gzip and zstd.
_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
# To read these is to wait for somebody who writes.
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

# A path where no folder was listed.
Entry = os.DirEntry[str] | Path
# The folders on the way to this one, each as device and inode.
_Way = tuple[tuple[int, int], ...]
# A folder to go on with, where in the glob it is, and the way to it.
_Onwards = tuple[str, Places, _Way]


def special_kind(mode: int) -> str | None:
    """What this is, of `st_mode`, if it is neither a file nor a folder."""
    return _SPECIAL.get(stat.S_IFMT(mode))


def is_csv(name: str) -> bool:
    """Whether a file in a folder is input, by its name."""
    return not name.startswith(".") and name.lower().endswith(_SUFFIXES)


def is_output(folder: str | os.PathLike[str]) -> bool:
    """Whether a sink writes into this folder. One that cannot be looked into is none: to list it tells why."""
    try:
        return Path(folder, HIDDEN).is_dir()
    except OSError:
        return False


@dataclass(slots=True)
class Listing:
    """The paths of the files that were found, the errors of folders, and what was left out, with the reason.

    `links` are the files that lie elsewhere.

    `enter` is called with each folder before it is listed.
    """

    enter: Callable[[str], None] = lambda _: None
    files: list[str] = field(default_factory=list)
    errors: list[OSError] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)

    def walk(self, folder: str) -> None:
        """Take the CSV files of a folder, at any depth; links to folders are not followed."""
        folders = [folder]
        while folders:
            for entry in self._entries(folders.pop()):
                if entry.name.startswith("."):
                    continue
                if not self._is_folder(entry):
                    if is_csv(entry.name):
                        self._take(entry)
                elif entry.is_symlink():
                    self.left_out[entry.path] = "a symbolic link to a folder; a glob that names it follows it"
                elif self._may_enter(entry):
                    folders.append(entry.path)

    def match(self, glob: Glob) -> None:
        """Take the files that a glob names."""
        waiting: list[_Onwards] = [("/", glob.begin(), ())]
        while waiting:
            waiting += self._match(glob, *waiting.pop())

    def _match(self, glob: Glob, folder: str, places: Places, way: _Way) -> list[_Onwards]:
        """Take the files of this folder that are named, and return the folders to go on with."""
        folders = []
        for entry in self._candidates(glob, folder, places):
            after = glob.after(places, entry.name)
            if glob.goes_on(after) and self._is_folder(entry):
                folders.append((entry, after))
            elif glob.is_whole(after) and not self._is_folder(entry):
                self._take(entry)
        named = glob.known_names(places)
        followed = (self._follow(glob, entry, after, way, is_named=entry.name in named) for entry, after in folders)
        return [onwards for onwards in followed if onwards is not None]

    def _follow(self, glob: Glob, entry: Entry, places: Places, way: _Way, *, is_named: bool) -> _Onwards | None:
        if not is_named and not self._may_enter(entry):
            return None
        try:
            found = entry.stat()
        except OSError as error:
            self.errors.append(error)
            return None
        here = (found.st_dev, found.st_ino)
        if here in way and entry.is_symlink() and glob.is_endless(places):
            self.left_out[os.fspath(entry)] = "a symbolic link to a folder that it lies in"
            return None
        return os.fspath(entry), places, (*way, here)

    def _candidates(self, glob: Glob, folder: str, places: Places) -> Iterator[Entry]:
        """What may be named next. A folder is only listed where it has to be: to pass through is often permitted."""
        known = glob.known_names(places)
        if glob.needs_listing(places):
            for entry in self._entries(folder):
                known.discard(entry.name)
                yield entry
        for name in known:
            path = Path(folder, name)
            # A file of this name may be written to or replaced, and what is not there may come.
            if glob.is_whole(glob.after(places, name)) or not os.path.lexists(path):
                self.enter(folder)
            if os.path.lexists(path):
                yield path

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        self.enter(folder)
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            self.errors.append(error)

    def _is_folder(self, entry: Entry) -> bool:
        try:
            return entry.is_dir()
        except OSError:
            # A link that leads nowhere: reading tells.
            return False

    def _may_enter(self, entry: Entry) -> bool:
        if is_output(os.fspath(entry)):
            self.left_out[os.fspath(entry)] = "an output folder: what comes out would go in again"
            return False
        return True

    def _take(self, entry: Entry) -> None:
        """A regular file, or one that cannot be asked: reading tells what is wrong with it."""
        path = os.fspath(entry)
        try:
            special = None if entry.is_file() else special_kind(entry.stat().st_mode)
        except OSError:
            special = None
        if special is None:
            self.files.append(path)
            if entry.is_symlink():
                self.links.append(path)
        else:
            self.left_out[path] = special
