"""Watching folders with inotify: when to look, and where files went that were renamed between two looks.

Looks alone decide what there is, so what a watch misses comes late but is not lost.
"""

import errno
import os
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inotify_simple import Event, INotify, flags

from common.escaping import escaped
from services.ingest.naming.renames import Renames

_MASK = (
    flags.MODIFY
    | flags.ATTRIB
    | flags.CREATE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
_OF_FOLDERS = flags.ISDIR | flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT | flags.IGNORED | flags.Q_OVERFLOW
# Other file systems, like those of a network, do not report changes made elsewhere.
_REPORTING = {
    "bcachefs",
    "btrfs",
    "exfat",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "jfs",
    "overlay",
    "tmpfs",
    "vfat",
    "xfs",
    "zfs",
}
_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches is reached",
    errno.EMFILE: "fs.inotify.max_user_instances is reached",
}
_IDENTITY_INTERVAL_S = 1.0
_IDENTITY_SHARE = 0.005


class FolderWatch:
    """The folders that the latest look entered. `trouble` says why some of them are not watched; empty if all are."""

    def __init__(self, is_input: Callable[[str], bool]) -> None:
        self.renames = Renames(is_input)
        # Names came or went; files changed; so much happened at once that not all of it was reported.
        self.names_changed = self.contents_changed = self.overflowed = False
        self.trouble = ""
        self._is_input = is_input
        self._inotify: INotify | None = None
        self._paths: dict[int, str] = {}
        self._watched: dict[str, tuple[int, int]] = {}
        # Each folder's identity: a mount, or a link to another folder, changes it without any event.
        self._entered: dict[str, tuple[int, int]] = {}
        self._ask_at = 0.0

    def begin(self) -> None:
        """A look begins: what happens from here on is reported after it."""
        self.trouble = ""
        self._entered.clear()
        self.names_changed = self.contents_changed = self.overflowed = False

    def enter(self, folder: str) -> None:
        """Watch this folder as well."""
        try:
            if folder in self._entered:
                return
            self._entered[folder] = identity = _identity(folder)
            if self._watched.get(folder) == identity or not self._is_watchable(folder):
                return
            if self._inotify is None:
                self._inotify = INotify(nonblocking=True)
                weakref.finalize(self, self._inotify.close)
            # inotify gives a folder that is watched already the same number, whatever its name is by now.
            self._paths[self._inotify.add_watch(folder, _MASK)] = folder
            self._watched[folder] = identity
        except OSError as error:
            self.trouble = _LIMITS.get(error.errno or 0, f"{escaped(folder)}: {error.strerror}")

    def _is_watchable(self, folder: str) -> bool:
        if not sys.platform.startswith("linux"):
            self.trouble = f"{sys.platform} has no inotify"
            return False
        kind = _file_system(folder)
        if kind not in _REPORTING:
            self.trouble = f"{escaped(folder)} is on a file system ({kind}) that may not report changes"
        return kind in _REPORTING

    def read(self) -> None:
        """Take in what has happened since. Never blocks."""
        if self._inotify is not None:
            for event in self._inotify.read(timeout=0):
                self._take(event)

    def _take(self, event: Event) -> None:
        mask, folder = event.mask, self._paths.get(event.wd)
        if mask & _OF_FOLDERS:
            self.names_changed = True
            self.overflowed |= bool(mask & flags.Q_OVERFLOW)
            if mask & flags.MOVE_SELF and folder is not None:
                self._leave(folder)
            if mask & flags.IGNORED:
                self._watched.pop(self._paths.pop(event.wd, ""), None)
            return
        if folder is None:
            return
        path = f"{folder.rstrip('/')}/{event.name}"
        if mask & (flags.MODIFY | flags.ATTRIB):
            self.contents_changed = True
            return
        if mask & flags.CREATE:
            self.renames.create(path)
        elif mask & flags.DELETE:
            self.renames.delete(path)
        elif mask & flags.MOVED_FROM:
            self.renames.leave(path, event.cookie)
        elif mask & flags.MOVED_TO:
            self.renames.arrive(path, event.cookie)
        self.names_changed |= self._is_input(path) or path in self.renames.former_names

    def _leave(self, folder: str) -> None:
        """Stop watching a folder that was moved, and those in it: the next look enters them where they are now."""
        numbers = [number for number, path in self._paths.items() if f"{path}/".startswith(f"{folder}/")]
        # Each may be watched under several names.
        moved = {self._watched.get(self._paths[number]) for number in numbers}
        self._watched = {path: identity for path, identity in self._watched.items() if identity not in moved}
        for number in numbers:
            del self._paths[number]
            if self._inotify is not None:
                # A folder that is deleted by now is not watched any more.
                with suppress(OSError):
                    self._inotify.rm_watch(number)

    def has_other_folders(self) -> bool:
        """Whether a folder's path leads to another folder by now. Checked now and then."""
        now = time.monotonic()
        if now < self._ask_at:
            return False
        found = any(_identity(folder) != before for folder, before in self._entered.items())
        self._ask_at = now + max(_IDENTITY_INTERVAL_S, (time.monotonic() - now) / _IDENTITY_SHARE)
        return found


def _identity(folder: str) -> tuple[int, int]:
    try:
        found = os.stat(folder)  # noqa: PTH116 - of text, thousands at once
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _file_system(folder: str) -> str:
    """The kind of file system: that of the nearest mount above the folder, the latest if there are two."""
    here = Path(folder).resolve()
    kinds = {}
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        mounted, _, rest = line.partition(" - ")
        kinds[Path(_unescaped(mounted.split(" ")[4]))] = rest.split(" ")[0]
    return next((kinds[path] for path in (here, *here.parents) if path in kinds), "unknown")


def _unescaped(mount_point: str) -> str:
    for character in " \t\n\\":
        mount_point = mount_point.replace(f"\\{ord(character):03o}", character)
    return mount_point
