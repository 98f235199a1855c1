"""What a followed file holds: read into an outbox as far as it may be read now."""

import math
import os
import time
from enum import Enum, auto
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from common.errors import SourceError
from common.kafka.transaction import Outbox
from common.protocol.progress import Departure, Progress
from services.ingest.context import IngestContext
from services.ingest.files.content import Content, content_of, is_misnamed
from services.ingest.files.finding import file_of, source_name
from services.ingest.files.reading import CHUNK_BYTES, ask_file, fit_chunk, stat_file
from services.ingest.look import EndRules, Look, ReadStep, Stamp
from services.ingest.parsing.expected import Expected
from services.ingest.resuming import resume_source
from services.ingest.source import Source

log = structlog.get_logger()


class ReadingStage(Enum):
    """How far a file is read."""

    READING = auto()
    # Compressed, and still being written to.
    GROWING = auto()
    # Read to its end, or given up.
    FINISHED = auto()


class TurnResult(Struct, frozen=True):
    """Whether a turn moved the source's progress, and when to look next, by time.monotonic (0: at the next turn)."""

    moved: bool = False
    next_look: float = 0.0


class FileReader:
    """Reads one source's file. `path` is where it is, `expected` which file is to be there, "" for any."""

    def __init__(self, context: IngestContext, progress: Progress) -> None:
        self._context = context
        settings = context.settings
        self._end_rules = EndRules(settings.once, settings.settle_s, settings.unterminated_s)
        self._begun_at = progress
        self._source: Source | None = None
        self._refusal = ""
        # None until the file's first bytes are looked at.
        self._content: Content | None = None
        self._chunk_bytes = CHUNK_BYTES
        # The file at the last look, and when its content was last seen to be the source's.
        self._seen: Stamp | None = None
        self._known: Stamp | None = None
        self._grew_at = time.monotonic()
        # Whether the end of the file is a header without its line ending, which is not read.
        self._holds_header = False
        self._is_misnamed = False
        self.stage = ReadingStage.READING
        self.path, self.expected = Path(), ""
        self._name = ""

    @property
    def is_packed(self) -> bool:
        """Whether the file is compressed."""
        return self._content is not None and self._content.whole_only

    @property
    def read_bytes(self) -> int:
        """How many bytes of the file are read: of a compressed one, compressed ones."""
        offset = self.progress.offset
        return offset if self._content is None else self._content.bytes_before(offset)

    @property
    def size(self) -> int:
        """How many bytes the file had when it was last read; 0 if it was not."""
        return 0 if self._seen is None else self._seen.size

    @property
    def progress(self) -> Progress:
        """How far the file is read, the current outbox included."""
        return self._begun_at if self._source is None else self._source.progress

    def record(self, departure: Departure | None) -> None:
        """Note how far the file has left."""
        progress = replace(self.progress, departure=departure)
        if self._source is None:
            self._begun_at = progress
        else:
            self._source.progress = progress

    def move(self, path: Path, expected: str) -> None:
        """Take note of where the file is now."""
        if path != self.path:
            self._name = source_name(path)
        self.path, self.expected = path, expected
        if self._content is not None:
            self._content.path, self._content.expected = path, expected

    def reopen(self) -> None:
        """The file may have more."""
        if self.stage is ReadingStage.FINISHED:
            self.stage = ReadingStage.READING

    def finish(self) -> None:
        """No more of the file is read until it is reopened."""
        self.stage = ReadingStage.FINISHED

    def retry(self) -> None:
        """The file could not be read: try again at the next look."""
        self.stage = ReadingStage.READING

    async def read(self, outbox: Outbox, now: float) -> TurnResult:
        """Look at the file, and put what it has into the outbox. OSError, SourceError if it cannot be read."""
        stat = await ask_file(stat_file, self.path, self.expected)
        stamp, was_packed = _stamp_of(stat), self.is_packed
        content = await self._open(stamp)
        if content.whole_only and not was_packed:
            # Read it at the next turn: the partition decides how many compressed files are read at once.
            return TurnResult()
        source = self._source or await self._resume(content, stamp)
        rest_s, is_packed = now - self._grew_at, content.whole_only
        look = Look(source.progress, stamp, self._known, is_packed, rest_s, self._holds_header, self._end_rules)
        step = look.step
        if step is ReadStep.WAIT:
            self.stage = ReadingStage.GROWING
            return TurnResult()
        if self.stage is ReadingStage.GROWING:
            self.stage = ReadingStage.READING
        if look.is_suspect:
            await ask_file(content.fingerprint, source.progress)
        if step is ReadStep.REST:
            return self._rest(source, stamp)
        return await self._take_chunk(content, source, look, outbox, now)

    async def _open(self, stamp: Stamp) -> Content:
        """The file's content. As long as nothing of it was read, the file may become another kind of file."""
        seen, content = self._seen, self._content
        if content is None or (self.progress.offset == 0 and stamp != seen):
            content = self._content = await ask_file(content_of, self.path, self.expected)
            if stamp.size and is_misnamed(content) and not self._is_misnamed:
                self._is_misnamed = True
                log.warning("not compressed, whatever its name says: read as it is", source=self.progress.source)
        if seen is None or stamp.size != seen.size or (content.whole_only and stamp != seen):
            self._grew_at = time.monotonic()
            self.reopen()
        self._seen = stamp
        return content

    async def _resume(self, content: Content, stamp: Stamp) -> Source:
        resumed = await resume_source(self._context, content, self._begun_at, stamp.size)
        self._source, self._refusal, self._known = resumed.source, resumed.refusal, stamp
        return resumed.source

    def _rest(self, source: Source, stamp: Stamp) -> TurnResult:
        """Rest until the file is seen to have changed. The turn moves the progress if it has to keep a new time."""
        before, is_other = source.progress, self._known is not None and self._known.file != stamp.file
        self._known, self.stage = stamp, ReadingStage.FINISHED
        # Without its new time, a file that was touched and is renamed later would be taken for another one.
        if before.changed_at_ns != stamp.changed_at_ns or is_other:
            source.progress = replace(before, changed_at_ns=stamp.changed_at_ns, is_touched=True)
        return TurnResult(source.progress != before, math.inf)

    async def _take_chunk(self, content: Content, source: Source, look: Look, outbox: Outbox, now: float) -> TurnResult:
        """Read, and let the source frame, encode and pack."""
        before, stamp = source.progress, look.stamp
        data = await ask_file(content.read_chunk, before.offset, source.fingerprint, self._chunk_bytes)
        if data and self._refusal:
            raise SourceError(self._refusal)
        self._known = stamp
        to_its_end = len(data) < self._chunk_bytes
        expected = look.expected(to_its_end=to_its_end)
        used = await source.take(data, outbox, expected, size=stamp.size, changed_at_ns=stamp.changed_at_ns)
        progress = source.progress
        content.keep_from(progress.offset)
        # `take` rejects a record that is too long once it is complete, so read on until it is.
        stuck = not used and not to_its_end
        self._chunk_bytes = fit_chunk(self._chunk_bytes, self._name, progress.line, progress.offset, stuck=stuck)
        self._log_end(progress, before, len(data) - used)
        next_look = 0.0
        if expected is Expected.NOT_NOW and not progress.ended:
            # A file that is seen to have changed is looked at earlier.
            next_look = self._grew_at + self._end_rules.half_row_s
            if now < source.decides_at < next_look:
                next_look = source.decides_at
        return TurnResult(progress != before, next_look)

    def _log_end(self, progress: Progress, before: Progress, left: int) -> None:
        if not progress.ended:
            return
        if left:
            if not self._holds_header and not self._context.settings.read_options.is_auto:
                log.warning("a header waits for its line ending", source=progress.source, bytes=left)
        elif progress.offset > before.offset or not before.ended:
            log.info("source ended", source=progress.source, rows=progress.tally.rows)
        self._holds_header = left > 0


def _stamp_of(stat: os.stat_result) -> Stamp:
    return Stamp(file_of(stat), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
