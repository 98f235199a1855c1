"""A file being followed: when to look, how much to read, when it has ended."""

import errno
import math
import os
import re
import time
from dataclasses import dataclass, replace

import structlog

from common.errors import SourceError
from common.kafka.transaction import Outbox
from common.protocol.progress import Progress
from services.ingest.begun import find_changes, refusal
from services.ingest.context import IngestContext
from services.ingest.files.content import Content, content_of, is_misnamed
from services.ingest.files.finding import file_of, source_key, source_name
from services.ingest.files.reading import CHUNK_BYTES, MovedError, ask_file, check_readable, fit_chunk
from services.ingest.naming.locations import Found, home_and_number
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.source import Source

log = structlog.get_logger()

# A file that cannot be read is tried this often; the others at every turn, but for one that has ended.
_TROUBLE_LOOK_INTERVAL_S = 1.0
# Sizes and locations may be others at each look, and are no news.
_FIGURES = re.compile(r"[0-9]+")


class FollowedFile:
    """A file, read on whenever it has more than was read."""

    def __init__(self, context: IngestContext, found: Found, progress: Progress) -> None:
        self._context = context
        self._home, _ = home_and_number(progress.source)
        # Known once its first bytes are looked at.
        self._content: Content | None = None
        self._begun_at = progress
        self._source: Source | None = None
        self._refusal = ""
        self._chunk_bytes = CHUNK_BYTES
        # The file as it was at the last look, and when its content was last seen to be the source's.
        self._seen: _Stamp | None = None
        self._known: _Stamp | None = None
        self._grew_at = time.monotonic()
        self._is_header_held = self._is_misnamed = self._is_growing = False
        self._next_look = 0.0
        self._found = found
        self._gone = self._lost = self._overwritten = False
        self.trouble = ""
        # What the trouble is, without what changes while it is the same: it is logged once.
        self._trouble_kind = ""
        self.finished = False
        self.see(found)

    @property
    def is_packed(self) -> bool:
        """Whether the file is compressed."""
        return self._content is not None and self._content.whole_only

    @property
    def is_unpacking(self) -> bool:
        """Whether, compressed, it is being read: not so while it is written to, at its end, or in trouble."""
        return not (self._is_growing or self.finished or self.trouble or self.is_at_rest)

    @property
    def _path_shown(self) -> str:
        return source_name(self._path)

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
        # With ONCE nobody looks where the file has gone to: whatever is there is told.
        once = self._context.settings.once
        self._path, self._expected = found.path, "" if once else found.file
        if self._content is not None:
            self._content.path, self._content.expected = self._path, self._expected
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
        content = content_of(found.path, found.file)
        if unchanged and progress.changed_at_ns and content.whole_only:
            # To unpack all of it again takes long.
            return True
        try:
            content.fingerprint(progress)
        except SourceError:
            return False
        return True

    async def put_next_rows(self, outbox: Outbox) -> bool:
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
            # Kafka's, as no call of the file raises them: to register a header takes a transaction.
            raise
        except OSError as error:
            if self._expected and not self._lost and isinstance(error, MovedError | FileNotFoundError):
                self._gone, self._next_look = True, math.inf
                return False
            self._on_trouble(f"cannot read {self._path_shown}: {error.strerror}", str(error.errno or errno.EIO), now)
            return False
        except SourceError as error:
            self._on_trouble(str(error), _FIGURES.sub("", str(error)), now)
            return False
        if self.trouble:
            log.info("source can be read again", source=self.progress.source)
            self.trouble = self._trouble_kind = ""
        return moved

    def _on_trouble(self, trouble: str, kind: str, now: float) -> None:
        if kind != self._trouble_kind:
            log.error("source cannot be read", source=self.progress.source, reason=trouble)
        self.trouble, self._trouble_kind = trouble, kind
        self.finished = self._context.settings.once
        # One that is lost is found by a look at all files, not by this.
        self._next_look = math.inf if self._lost else now + _TROUBLE_LOOK_INTERVAL_S

    async def _read_on(self, outbox: Outbox, now: float) -> bool:
        stat = await ask_file(self._path.stat)
        if self._expected not in {"", file_of(stat)}:
            raise MovedError
        stamp, settings = _Stamp.of(stat), self._context.settings
        was_packed = self.is_packed
        content = await self._look(stamp)
        if content.whole_only and not was_packed:
            # How many compressed files are read at once is for the lane to say.
            return False
        source = self._source or await self._open(content, stamp)
        before, known = source.progress, self._known
        is_at_rest = before.ended and before.size == stamp.size
        rest_s = now - self._grew_at
        settled = settings.once or rest_s >= settings.settle_s
        self._is_growing = content.whole_only and not settled and not (is_at_rest and stamp == known)
        if self._is_growing:
            return False
        if known is not None and stamp != known and (is_at_rest or stamp.file != known.file):
            # It was touched, or another one has taken its location: the content tells whether it is still the source's.
            await ask_file(content.fingerprint, before)
        # What is left is a header that lacks its line ending, which may have been written anew.
        is_left = not content.whole_only and before.offset < stamp.size
        if is_at_rest and (not is_left or (self._is_header_held and stamp == known)):
            self._known = stamp
            return self._rest(source, stat.st_mtime_ns)
        final = settings.once or content.whole_only or rest_s >= max(settings.settle_s, settings.unterminated_s)
        data = await ask_file(content.read_chunk, before.offset, source.fingerprint, self._chunk_bytes)
        if data and self._refusal:
            raise SourceError(self._refusal)
        self._known = stamp
        to_its_end = len(data) < self._chunk_bytes
        expected = Expected.MORE
        if to_its_end and settled:
            expected = Expected.NOTHING if final else Expected.NOT_NOW
        used = await source.take(data, outbox, expected, size=stamp.size, changed_at_ns=stat.st_mtime_ns)
        progress = source.progress
        content.keep_from(progress.offset)
        # Once it is complete, `take` rejects a record that is too long.
        stuck = not used and not to_its_end
        self._chunk_bytes = fit_chunk(self._chunk_bytes, self._path_shown, progress.line, progress.offset, stuck=stuck)
        if expected is Expected.NOT_NOW and not progress.ended:
            # What is seen to have changed is looked at before.
            self._next_look = self._grew_at + max(settings.settle_s, settings.unterminated_s)
            if now < source.decides_at < self._next_look:
                self._next_look = source.decides_at
        self._tell(progress, before, len(data) - used)
        return progress != before

    async def _look(self, stamp: "_Stamp") -> Content:
        """What the file holds: for as long as nothing was read of it, it may become of another kind."""
        seen, content = self._seen, self._content
        if content is None or (self.progress.offset == 0 and stamp != seen):
            content = self._content = await ask_file(content_of, self._path, self._expected)
            if stamp.size and is_misnamed(content) and not self._is_misnamed:
                self._is_misnamed = True
                log.warning("not compressed, whatever its name says: read as it is", source=self.progress.source)
        if seen is None or stamp.size != seen.size or (content.whole_only and stamp != seen):
            self._grew_at, self.finished = time.monotonic(), False
        self._seen = stamp
        return content

    def _tell(self, progress: Progress, before: Progress, left: int) -> None:
        if not progress.ended:
            return
        if left:
            if not self._is_header_held and not self._context.settings.read_options.is_auto:
                log.warning("a header waits for its line ending", source=progress.source, bytes=left)
        elif progress.offset > before.offset or not before.ended:
            log.info("source ended", source=progress.source, rows=progress.tally.rows)
        self._is_header_held = left > 0

    async def _tell_loss(self) -> None:
        self._next_look = math.inf
        await ask_file(check_readable, self._path)
        # What can be read there is no news: the next look tells what it is.
        if self._overwritten and not self.progress.ended:
            raise SourceError(
                f"{self._path_shown} is another file now, and the one read to byte {self.progress.offset} is gone"
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

    async def _open(self, content: Content, stamp: "_Stamp") -> Source:
        progress = self._begun_at
        changed = await ask_file(find_changes, content, progress, self._context.settings.read_options)
        fingerprint: Fingerprint = await ask_file(content.fingerprint, progress)
        address = self._context.address(progress.source, source_key(self._home))
        has_void = False
        if changed and not progress.tally.rows:
            has_void = progress.rejected > 0
            progress, fingerprint = self._context.new_progress(progress.source), Fingerprint()
            log.info("source is read anew: no row of it went out", source=progress.source, changed=changed)
        elif changed:
            self._refusal = refusal(progress, changed)
            if progress.ended and progress.size == self._found.size:
                self._context.tell_at_rest(progress.source, changed)
        self._source, self._known = Source(self._context, address, progress, fingerprint, has_void=has_void), stamp
        log.info("source opened", source=progress.source, offset=progress.offset)
        return self._source


@dataclass(frozen=True, slots=True)
class _Stamp:
    """By which a change of a file is seen: which file it is, how long, and when its content, or anything, changed."""

    file: str
    size: int
    changed_at_ns: int
    touched_at_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "_Stamp":
        return cls(file_of(stat), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
