"""The log of the input as a whole: each condition once when it begins, and once when it ends."""

import errno
from collections.abc import Collection, Mapping
from pathlib import Path

import structlog

from services.ingest.files.finding import Input, may_name, source_name
from services.ingest.files.watching import FolderWatch

log = structlog.get_logger()


class InputLog:
    """Remembers what it has logged. `failed` are the folders that cannot be looked into, and why."""

    def __init__(self) -> None:
        self.failed: Mapping[str, str] = {}
        self._left_out: Mapping[str, str] = {}
        self._trouble = ""

    def log_input(self, found: Input) -> None:
        """Log what a look found."""
        for path in found.left_out.keys() - self._left_out.keys():
            log.warning("left out of the input", path=path, reason=f"it is {found.left_out[path]}")
        self._left_out = found.left_out
        # A folder that has gone since it was seen holds nothing.
        why = {_name(error.filename): error.strerror for error in found.errors if error.errno != errno.ENOENT}
        failed = {folder: f"cannot read {folder}: {reason}" for folder, reason in why.items()}
        for folder in failed.keys() - self.failed.keys():
            log.error("folder cannot be read", folder=folder, reason=failed[folder])
        for folder in self.failed.keys() - failed.keys():
            log.info("folder can be read again", folder=folder)
        self.failed = failed

    def log_watch(self, watch: FolderWatch, given: str, seen: Collection[str]) -> None:
        """Log what a watch found, after a look that has `seen` these paths."""
        for path in map(_name, watch.renames.end_look(lambda path: _name(path) in seen)):
            if may_name(given, path):
                log.warning("a file was gone before it was seen: its rows are not read", path=path)
        if watch.overflowed:
            log.warning("more changes at once than inotify reports: files rotated meanwhile may be unread")
        if watch.trouble and not self._trouble:
            log.warning("the input cannot be watched: it is looked at every second", reason=watch.trouble)
        self._trouble = watch.trouble


def _name(path: str) -> str:
    return source_name(Path(path))
