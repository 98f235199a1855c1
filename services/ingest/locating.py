"""Finding a source's file again once it has left its location: what the disk is asked."""

import asyncio
from pathlib import Path

from msgspec import Struct

from common.protocol.progress import Progress
from services.ingest.context import IngestContext
from services.ingest.files.content import is_source_file
from services.ingest.files.reading import MovedError
from services.ingest.naming.locations import FoundFile, InputSnapshot, SourceLocation
from services.ingest.naming.moving import Missing, Verdict, find_candidates, judge_missing
from services.ingest.scan import Scan


class Located(Struct, frozen=True):
    """Where a source is now.

    `is_missed`: the next look has to find its file. `is_lost`: no file is its own any more. `is_overwritten`: another
    has its path.
    """

    location: SourceLocation
    is_missed: bool = False
    is_lost: bool = False
    is_overwritten: bool = False


class Locator:
    """Locates sources that a look has missed."""

    def __init__(self, context: IngestContext, scan: Scan) -> None:
        self._once = context.settings.once
        self._scan = scan
        self._locations = scan.catalog.locations
        # When a source's file was first missed, by time.monotonic.
        self._missed_at: dict[str, float] = {}

    def note_found(self, source: str) -> None:
        """Note that the source's file is at its location."""
        self._missed_at.pop(source, None)

    async def locate(self, progress: Progress, location: SourceLocation, seen: InputSnapshot) -> Located:
        """Where a source is now that its file has left `location`."""
        source = progress.source
        if not location.file and location.path not in seen.files:
            return Located(location)
        is_another = False
        for path, found in find_candidates(source, location, seen, was_read=progress.offset > 0):
            is_this = await _is_this(found, progress)
            if is_this is None:
                return Located(location, is_missed=True)
            if is_this:
                return Located(SourceLocation(path, location.file))
            is_another = True
        return await self._judge(source, location, seen, is_another=is_another)

    async def _judge(self, source: str, location: SourceLocation, seen: InputSnapshot, *, is_another: bool) -> Located:
        successor = seen.files.get(location.path)
        successor_file = successor.file if successor is not None else ""
        missing = Missing(
            had_file=bool(location.file),
            is_another=is_another,
            # With ONCE no look comes by itself.
            missed_before=seen.at > self._missed_at.setdefault(source, seen.at) or self._once,
            is_hidden=self._scan.is_blind_to(location.path),
            may_take_successor=self._locations.may_take(source, location.path, successor_file),
        )
        verdict = judge_missing(missing)
        if verdict is Verdict.WAITS:
            return Located(location, is_missed=not missing.is_hidden)
        if verdict is Verdict.TAKES_SUCCESSOR:
            # Reading on shows whether it is the same source, rewritten, or another file.
            return Located(SourceLocation(location.path, successor_file))
        # Looks do not show a file whose name INPUT does not have.
        is_overwritten = bool(successor_file) or await asyncio.to_thread(self._scan.is_outside, location.path)
        return Located(SourceLocation(location.path), is_lost=True, is_overwritten=is_overwritten)


async def _is_this(found: FoundFile, progress: Progress) -> bool | None:
    """Whether this file, with the same inode, is the source's; None if it was renamed again: the next look finds it."""
    try:
        return await asyncio.to_thread(is_source_file, Path(found.path), found.file, progress)
    except (FileNotFoundError, MovedError):
        return None
    except OSError:
        # Reading on reports what is wrong with it.
        return True
