"""Access to what lies below OUTPUT_DIR, name by name: a symbolic link on the way is refused, never followed.

To check a path as a whole would not do: any folder in it could become a link between the check and the use.
"""

import os
import stat
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from common.errors import ConfigurationError, ServiceError
from services.sink.disk.errors import FolderReplacedError, disk_error, naming

# The device and the number of a folder.
Identity = tuple[int, int]
_MAX_OPEN_FOLDERS = 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe that was planted in place of a file would wait for ever. Files ignore it.
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OutputRoot:
    """Opens what lies below `root`, which may itself be a link, because the operator chose it.

    Paths are relative to `root`, with `/`. The folders on the way stay open until this is closed, so use each instance
    in one thread for one batch of files: only the next one sees what was moved or mounted meanwhile. `root` itself is
    opened once. Every error names its path: ServiceError for a symbolic link, DiskError for anything else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: OrderedDict[str, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._folders:
            os.close(self._folders.popitem()[1])

    def check_is(self, known: Identity) -> None:
        """FolderReplacedError if the root is another folder, also for all that is opened through this from now on."""
        with naming(self.root):
            found = os.fstat(self._folder("", make=False))
        if (found.st_dev, found.st_ino) != known:
            raise FolderReplacedError(self.root)

    def close_folders(self) -> None:
        """Close all but the root, before a wait in which others need descriptors too."""
        for path in [path for path in self._folders if path]:
            os.close(self._folders.pop(path))

    def open(self, path: str, flags: int, *, make_folders: bool = False) -> int:
        """Open a file or folder, "" for the root, and return its descriptor, which the caller closes."""
        try:
            folder, name = self._place(path, make=make_folders)
            return os.open(name or ".", flags | _SAFE, 0o644, dir_fd=folder)
        except OSError as error:
            raise self._named(path, error) from error

    def status(self, path: str) -> os.stat_result | None:
        """The status of what is there, None if nothing is."""
        try:
            folder, name = self._place(path, make=False)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._named(path, error) from error
        if stat.S_ISLNK(found.st_mode):
            raise _refusal(self.root / path)
        return found

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        try:
            folder, name = self._place(path, make=False)
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._named(path, error) from error

    def rename(self, path: str, to: str) -> None:
        """Rename a file to a path in the same folder, in one step; a file that has that path is replaced."""
        try:
            folder, name = self._place(path, make=False)
            os.rename(name, to.rpartition("/")[2], src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            raise self._named(path, error) from error

    def _place(self, path: str, *, make: bool) -> tuple[int, str]:
        """The descriptor of the folder that a path lies in, valid until the next call, and the name there."""
        folder, _, name = path.rpartition("/")
        if name == "..":
            raise ServiceError(f"{self.root / path} leaves OUTPUT_DIR: its ledger was changed, set another OUTPUT_DIR")
        return self._folder(folder, make=make), name

    def _folder(self, path: str, *, make: bool) -> int:
        descriptor = self._folders.get(path)
        if descriptor is not None:
            self._folders.move_to_end(path)
            return descriptor
        descriptor = self._opened_folder(path, make=make) if path else os.open(self.root, _FOLDER)
        if len(self._folders) >= _MAX_OPEN_FOLDERS:
            # The root stays: by its path it may be another folder meanwhile.
            self._folders.move_to_end("")
            os.close(self._folders.popitem(last=False)[1])
        self._folders[path] = descriptor
        return descriptor

    def _opened_folder(self, path: str, *, make: bool) -> int:
        above, name = self._place(path, make=make)
        try:
            return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
        # The sink of another partition may create it at the same time.
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)

    def _named(self, path: str, error: OSError) -> Exception:
        # Systems report a link on the way by different errors, so look for one. It decides the message alone.
        steps = path.split("/") if path else []
        for count in range(1, len(steps) + 1):
            step = self.root.joinpath(*steps[:count])
            with suppress(OSError):
                if step.is_symlink():
                    return _refusal(step)
        return disk_error(self.root / path, error)


def identity_of(root: Path) -> Identity:
    """Which folder OUTPUT_DIR is now, whatever its path leads to later. Raises DiskError."""
    with naming(root):
        found = root.stat()
    return found.st_dev, found.st_ino


def check_root(root: Path) -> None:
    """ConfigurationError if OUTPUT_DIR, or a path above it, exists and is no folder: waiting does not mend that."""
    for path in (root, *root.parents):
        if path.is_dir():
            return
        if path.is_symlink():
            raise ConfigurationError(f"OUTPUT_DIR {root}: {path} is a symbolic link that leads to no folder")
        if path.exists():
            raise ConfigurationError(f"OUTPUT_DIR {root}: {path} is not a folder: name one, or remove what is there")


def make_root(root: Path) -> None:
    """Create OUTPUT_DIR, unless it exists. Raises DiskError."""
    with naming(root):
        root.mkdir(parents=True, exist_ok=True)


def _refusal(path: Path) -> ServiceError:
    return ServiceError(
        f"{path} is a symbolic link, and sink follows none below OUTPUT_DIR: put there what it points to, or set "
        "another OUTPUT_DIR"
    )
