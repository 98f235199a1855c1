"""A file being followed: when to look, how much to read, when it has ended."""

import asyncio
import errno
import time
from pathlib import Path

import structlog

from common.errors import SourceError
from common.progress import Progress
from common.transaction import Outbox
from services.ingest.content import content_of
from services.ingest.files import CHUNK_BYTES, Window, fit_chunk, source_key
from services.ingest.source import Shop, Source

log = structlog.get_logger()

# An ended file is looked at this often, in case it grows; the others at every turn.
_ENDED_LOOK_INTERVAL_S = 1.0


class Followed:
    """A file, read on whenever it has more than was read."""

    def __init__(self, shop: Shop, path: Path, progress: Progress) -> None:
        self._shop = shop
        self._path = path
        self._content = content_of(path)
        self._begun_at = progress
        self._source: Source | None = None
        self._chunk_bytes = CHUNK_BYTES
        self._size = -1
        self._grew_at = time.monotonic()
        self._next_look = 0.0
        self.trouble = ""
        # Of what kind the trouble is: an errno, or 0 where the file can be read and is not what it was.
        self._trouble_kind: int | None = None
        self.finished = False

    @property
    def is_packed(self) -> bool:
        """Whether the file is compressed."""
        return self._content.whole_only

    @property
    def progress(self) -> Progress:
        """How far the file is read, the outbox at hand included."""
        return self._begun_at if self._source is None else self._source.progress

    async def read_on(self, outbox: Outbox) -> bool:
        """Put the file's next rows into the outbox; False when there are none now.

        A file that cannot be read is told once and tried again; one that changed stays with its trouble until it is
        as it was.
        """
        now = time.monotonic()
        if now < self._next_look:
            return False
        try:
            moved = await self._read_on(outbox, now)
        except (TimeoutError, ConnectionError):
            # Kafka's, not the file's: to register a header takes a transaction.
            raise
        except OSError as error:
            self._on_trouble(f"cannot read {self._path}: {error.strerror}", error.errno or errno.EIO, now)
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
        self._next_look = now + _ENDED_LOOK_INTERVAL_S

    async def _read_on(self, outbox: Outbox, now: float) -> bool:
        source = self._source or await self._open()
        size = (await asyncio.to_thread(self._path.stat)).st_size
        if size != self._size:
            self._size, self._grew_at, self.finished = size, now, False
        elif source.progress.ended and source.progress.size == size:
            return self._rest(now)
        settled = self._shop.settings.once or now - self._grew_at >= self._shop.settings.settle_s
        if self._content.whole_only and not settled:
            return False
        offset = source.progress.offset
        data = await asyncio.to_thread(self._content.read_on, offset, source.window, self._chunk_bytes)
        to_its_end = len(data) < self._chunk_bytes
        at_end = to_its_end and settled
        if at_end and source.progress.ended and not data:
            return self._rest(now)
        used = await source.take(data, outbox, at_end=at_end, size=size)
        progress = source.progress
        self._content.keep_from(progress.offset)
        # Once it is complete, `take` rejects a record that is too long.
        stuck = not used and not to_its_end
        self._chunk_bytes = fit_chunk(self._chunk_bytes, self._path, progress.line, progress.offset, stuck=stuck)
        if at_end and used == len(data):
            log.info("source ended", source=source.progress.source, rows=source.progress.tally.rows)
        return used > 0 or at_end

    def _rest(self, now: float) -> bool:
        """There is nothing more, unless the file grows."""
        self.finished = True
        self._next_look = now + _ENDED_LOOK_INTERVAL_S
        return False

    async def _open(self) -> Source:
        window: Window = await asyncio.to_thread(self._content.window, self._begun_at)
        address = self._shop.address(self._begun_at.source, source_key(self._begun_at.source))
        self._source = Source(self._shop, address, self._begun_at, window)
        log.info("source opened", source=self._begun_at.source, offset=self._begun_at.offset)
        return self._source
