"""Failures of the disk, each with its path and with what a person can do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make it writable",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
}


class DiskError(OSError):
    """A failure of the disk: `text` says what failed; `number`, an errno, decides what a person can do about it."""

    def __init__(self, number: int, text: str) -> None:
        remedy = _REMEDIES.get(number, "mend it")
        super().__init__(number, f"{text}: {remedy}, sink goes on by itself")

    def __str__(self) -> str:
        return str(self.strerror)


class FolderReplacedError(OSError):
    """OUTPUT_DIR is another folder than the one that the session began with: the next session begins with it."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"OUTPUT_DIR={root} was replaced by another folder: sink goes on with that one")


def disk_error(path: Path, error: OSError) -> DiskError:
    """The error with its path, which an OSError of a descriptor lacks."""
    return DiskError(error.errno or errno.EIO, f"cannot write {path}: {error.strerror}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Raise every OSError as a DiskError that names the path."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error
