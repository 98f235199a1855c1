"""Walking through folders: the regular files that a folder or a glob names, what is left out, and why."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct, field

from common.protocol.output_folder import HIDDEN
from services.ingest.delivered.names import is_aside
from services.ingest.naming.globs import Glob, GlobPositions

# Plain, gzip and zstd.
_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
# Reading these would wait for a writer.
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

# A path if no folder was listed.
FolderEntry = os.DirEntry[str] | Path
# The folders on the way to this one, each as device and inode.
_Way = tuple[tuple[int, int], ...]
# A folder to go on with, where in the glob it is, and the way to it.
_Onwards = tuple[str, GlobPositions, _Way]


def special_kind(mode: int) -> str | None:
    """What a file of this `st_mode` is if it cannot be read as a file; None otherwise."""
    return _SPECIAL.get(stat.S_IFMT(mode))


def is_csv(name: str) -> bool:
    """Whether a file in a folder is input, by its name."""
    return not name.startswith(".") and name.lower().endswith(_SUFFIXES)


def is_output(folder: str | os.PathLike[str]) -> bool:
    """Whether a sink writes into this folder. False if it cannot be looked into: listing it then reports why."""
    try:
        return Path(folder, HIDDEN).is_dir()
    except OSError:
        return False


class Listing(Struct):
    """The paths of the files that were found, the errors of folders, and what was left out, with the reason.

    `links` are the files that lie elsewhere, `aside` the hidden ones that are on their way out. `enter` is called with
    each folder before it is listed. `excluded`, as device and inode, is a folder that holds no input.
    """

    enter: Callable[[str], None] = lambda _: None
    excluded: tuple[int, int] | None = None
    files: list[str] = field(default_factory=list)
    errors: list[OSError] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)

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
                elif not self._is_excluded(entry) and self._may_enter(entry):
                    folders.append(entry.path)

    def match(self, glob: Glob) -> None:
        """Take the files that a glob names."""
        waiting: list[_Onwards] = [("/", glob.begin(), ())]
        while waiting:
            waiting += self._match(glob, *waiting.pop())

    def _match(self, glob: Glob, folder: str, positions: GlobPositions, way: _Way) -> list[_Onwards]:
        """Take the files of this folder that are named, and return the folders to go on with."""
        folders = []
        for entry in self._candidates(glob, folder, positions):
            after = glob.after(positions, entry.name)
            if glob.goes_on(after) and self._is_folder(entry):
                folders.append((entry, after))
            elif glob.is_whole(after) and not self._is_folder(entry):
                self._take(entry)
        named = glob.known_names(positions)
        followed = (self._follow(glob, entry, after, way, is_named=entry.name in named) for entry, after in folders)
        return [onwards for onwards in followed if onwards is not None]

    def _follow(
        self, glob: Glob, entry: FolderEntry, positions: GlobPositions, way: _Way, *, is_named: bool
    ) -> _Onwards | None:
        if not is_named and not self._may_enter(entry):
            return None
        try:
            found = entry.stat()
        except OSError as error:
            self.errors.append(error)
            return None
        here = (found.st_dev, found.st_ino)
        if here == self.excluded:
            return None
        if here in way and entry.is_symlink() and glob.is_endless(positions):
            self.left_out[os.fspath(entry)] = "a symbolic link to a folder that it lies in"
            return None
        return os.fspath(entry), positions, (*way, here)

    def _candidates(self, glob: Glob, folder: str, positions: GlobPositions) -> Iterator[FolderEntry]:
        """What may be named next. A folder is listed only if it has to be: passing through is more often permitted."""
        known = glob.known_names(positions)
        if glob.needs_listing(positions):
            for entry in self._entries(folder):
                known.discard(entry.name)
                yield entry
        for name in known:
            path = Path(folder, name)
            # Enter the folder, though it need not be listed: a file of this name may be changed, replaced or created.
            if glob.is_whole(glob.after(positions, name)) or not os.path.lexists(path):
                self.enter(folder)
            if os.path.lexists(path):
                yield path

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        self.enter(folder)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_aside(entry.name):
                        self.aside.append(entry.path)
                    else:
                        yield entry
        except OSError as error:
            self.errors.append(error)

    def _is_folder(self, entry: FolderEntry) -> bool:
        try:
            return entry.is_dir()
        except OSError:
            # A link that leads nowhere: reading reports it.
            return False

    def _is_excluded(self, entry: os.DirEntry[str]) -> bool:
        if self.excluded is None or entry.inode() != self.excluded[1]:
            return False
        found = entry.stat()
        return (found.st_dev, found.st_ino) == self.excluded

    def _may_enter(self, entry: FolderEntry) -> bool:
        if is_output(os.fspath(entry)):
            self.left_out[os.fspath(entry)] = "an output folder: what comes out would go in again"
            return False
        return True

    def _take(self, entry: FolderEntry) -> None:
        """Take a regular file, or one whose status cannot be read: reading reports what is wrong with it."""
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
