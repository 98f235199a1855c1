"""A file being followed: when to look, how much to read, when it has ended."""

import asyncio
import errno
import math
import time
from dataclasses import replace
from pathlib import Path

import structlog

from common.errors import SourceError
from common.progress import Progress
from common.transaction import Outbox
from services.ingest.content import content_of
from services.ingest.files import CHUNK_BYTES, MovedError, Window, check_readable, fit_chunk
from services.ingest.finding import file_of, source_key
from services.ingest.places import Found, home_and_number
from services.ingest.source import Shop, Source

log = structlog.get_logger()

# A file that cannot be read is tried this often; the others at every turn, but for one that has ended.
_TROUBLE_LOOK_INTERVAL_S = 1.0


class Followed:
    """A file, read on whenever it has more than was read."""

    def __init__(self, shop: Shop, found: Found, progress: Progress) -> None:
        self._shop = shop
        home, _ = home_and_number(progress.source)
        self._home = home
        self._content = content_of(found.path, Path(home).suffix)
        self._begun_at = progress
        self._source: Source | None = None
        self._chunk_bytes = CHUNK_BYTES
        self._size = -1
        self._grew_at = time.monotonic()
        self._next_look = 0.0
        self._found = found
        self._gone = self._lost = self._overwritten = False
        self.trouble = ""
        # Of what kind the trouble is: an errno, or 0 where the file can be read and is not what it was.
        self._trouble_kind: int | None = None
        self.finished = False
        self.see(found)

    @property
    def is_packed(self) -> bool:
        """Whether the file is compressed."""
        return self._content.whole_only

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to look at, until it is seen to have changed."""
        return self._next_look == math.inf

    @property
    def progress(self) -> Progress:
        """How far the file is read, the outbox at hand included."""
        return self._begun_at if self._source is None else self._source.progress

    def see(self, found: Found) -> None:
        """The file is here now: look at it if it has changed, and do not take another one for it."""
        self._content.path = found.path
        # With ONCE nobody looks where the file has gone to: whatever is there is told.
        once = self._shop.settings.once
        self._content.expected = "" if once else found.file
        if self._gone or self._lost or found != self._found:
            self._next_look = 0.0
            self.finished = False
        self._found, self._gone = found, False
        self._lost, self._overwritten = not (once or found.file), False

    def lose(self, *, overwritten: bool) -> None:
        """Nobody knows where the file is, or another source's was renamed over it: tell that, and read no more."""
        self._lost, self._overwritten, self._next_look = True, overwritten, 0.0

    def is_this(self, found: Found) -> bool:
        """Whether this file, with the same inode, is the source's: it holds what was read.

        Raises OSError, MovedError when another one has its name by now.
        """
        progress = self.progress
        # One that was written anew, and got the inode of one deleted, may have the same bytes, but has another time.
        unchanged = progress.ended and found.size == progress.size
        if unchanged and progress.changed_at_ns and found.changed_at_ns != progress.changed_at_ns:
            return False
        content = content_of(found.path, Path(self._home).suffix)
        content.expected = found.file
        if unchanged and progress.changed_at_ns and content.whole_only:
            # To unpack all of it again takes long.
            return True
        try:
            content.window(progress)
        except SourceError:
            return False
        return True

    async def read_on(self, outbox: Outbox) -> bool:
        """Put the file's next rows into the outbox; False when there are none now.

        A file that cannot be read is told once and tried again; one that changed stays with its trouble until it is
        as it was. One that is not where it was waits until it is known where it is.
        """
        now = time.monotonic()
        if now < self._next_look:
            return False
        try:
            if self._lost:
                await self._tell_loss()
                return False
            moved = await self._read_on(outbox, now)
        except (TimeoutError, ConnectionError):
            # Kafka's, not the file's: to register a header takes a transaction.
            raise
        except OSError as error:
            if self._content.expected and not self._lost and isinstance(error, MovedError | FileNotFoundError):
                self._gone, self._next_look = True, math.inf
                return False
            self._on_trouble(f"cannot read {self._content.path}: {error.strerror}", error.errno or errno.EIO, now)
            return False
        except SourceError as error:
            self._on_trouble(str(error), 0, now)
            return False
        if self.trouble:
            log.info("source can be read again", source=self.progress.source)
            self.trouble, self._trouble_kind = "", None
        return moved

    def _on_trouble(self, trouble: str, kind: int, now: float) -> None:
        if kind != self._trouble_kind:
            log.error("source cannot be read", source=self.progress.source, reason=trouble)
        self.trouble, self._trouble_kind = trouble, kind
        self.finished = self._shop.settings.once
        # One that is lost is found by a look at all files, not by this.
        self._next_look = math.inf if self._lost else now + _TROUBLE_LOOK_INTERVAL_S

    async def _read_on(self, outbox: Outbox, now: float) -> bool:
        source = self._source or await self._open()
        stat = await asyncio.to_thread(self._content.path.stat)
        if self._content.expected not in {"", file_of(stat)}:
            raise MovedError
        size = stat.st_size
        if size != self._size:
            self._size, self._grew_at, self.finished = size, now, False
        elif source.progress.ended and source.progress.size == size:
            return self._rest(source, stat.st_mtime_ns)
        settled = self._shop.settings.once or now - self._grew_at >= self._shop.settings.settle_s
        if self._content.whole_only and not settled:
            return False
        offset = source.progress.offset
        data = await asyncio.to_thread(self._content.read_on, offset, source.window, self._chunk_bytes)
        to_its_end = len(data) < self._chunk_bytes
        at_end = to_its_end and settled
        if at_end and source.progress.ended and not data:
            return self._rest(source, stat.st_mtime_ns)
        used = await source.take(data, outbox, at_end=at_end, size=size, changed_at_ns=stat.st_mtime_ns)
        progress = source.progress
        self._content.keep_from(progress.offset)
        # Once it is complete, `take` rejects a record that is too long.
        stuck = not used and not to_its_end
        path = self._content.path
        self._chunk_bytes = fit_chunk(self._chunk_bytes, path, progress.line, progress.offset, stuck=stuck)
        if at_end and used == len(data):
            log.info("source ended", source=source.progress.source, rows=source.progress.tally.rows)
        return used > 0 or at_end

    async def _tell_loss(self) -> None:
        self._next_look = math.inf
        await asyncio.to_thread(check_readable, self._content.path)
        # What can be read there is no news: the next look tells what it is.
        if self._overwritten and not self.progress.ended:
            raise SourceError(
                f"{self._content.path} is another file now, and the one read to byte {self.progress.offset} is gone"
            )
        self.finished = self.finished or self._overwritten

    def _rest(self, source: Source, changed_at_ns: int) -> bool:
        """There is nothing more, until it is seen to have changed. True when its time is to be kept."""
        self.finished = True
        self._next_look = math.inf
        # Touched and renamed, it would be taken for another.
        is_touched = source.progress.changed_at_ns != changed_at_ns
        if is_touched:
            source.progress = replace(source.progress, changed_at_ns=changed_at_ns)
        return is_touched

    async def _open(self) -> Source:
        window: Window = await asyncio.to_thread(self._content.window, self._begun_at)
        address = self._shop.address(self._begun_at.source, source_key(self._home))
        self._source = Source(self._shop, address, self._begun_at, window)
        log.info("source opened", source=self._begun_at.source, offset=self._begun_at.offset)
        return self._source
