"""Renaming that never takes another file's name, which Python's own does."""

import ctypes
import errno
import os
from pathlib import Path

# From Linux' <fcntl.h> and <linux/fs.h>.
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
# The errors of a system, or a file system, that does not know it.
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
# The errors that say that a file cannot have a second name, or that this user may not give it one.
_NO_LINKS = {*_UNKNOWN, errno.EPERM, errno.EMLINK}

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def rename_to_free(path: Path, target: Path) -> None:
    """Rename a file that no other program knows. FileExistsError if there is anything of that name.

    Where this takes two steps, a death in between leaves both names. Where files have one name only, or a second one
    is not permitted for files of others, the target may be taken in between, and is lost then.
    """
    if _rename_in_one_step(path, target):
        return
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_unless_there(path, target)
    else:
        path.unlink()


def rename_aside(path: Path, aside: Path) -> None:
    """Rename whatever has this name now to one that no other program uses. FileExistsError if there is such a file.

    Never in two steps: a file that took the name in between would lose its only one.
    """
    if not _rename_in_one_step(path, aside):
        _rename_unless_there(path, aside)


def _rename_unless_there(path: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    path.rename(target)


def _rename_in_one_step(path: Path, target: Path) -> bool:
    """False where that cannot be done."""
    if _renameat2 is None:
        return False
    if _renameat2(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), os.fspath(path), None, os.fspath(target))
