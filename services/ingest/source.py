"""One source: its bytes taken record by record into an outbox, its progress moved on."""

import math
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

import structlog

from common.errors import RecordTooLargeError, SourceError
from common.kafka.transaction import Outbox
from common.pipeline.registry import Registered
from common.protocol.finite_run import shortened
from common.protocol.messages import Ended
from common.protocol.progress import Progress
from common.rows.codec import JsonCodec
from common.rows.schema import Schema
from common.rows.schema_differences import dialect_traits
from common.rows.tally import tally
from services.ingest.begun import begun_with
from services.ingest.context import IngestContext, too_long
from services.ingest.outgoing import Address, pack_begun_anew, pack_end, pack_reject, pack_rows, to_values
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.parsing.framing import Framed, Reject, RowBlock, frame, with_half_ending
from services.ingest.parsing.opening import MOST_REJECTS, Opening, bytes_left, find_opening, lacks_header
from services.ingest.parsing.patience import Waiting
from services.ingest.parsing.patterns import ENDING, count_breaks

log = structlog.get_logger()

# What framing says of it: it is rejected, and was no row.
_BLANK_LINE = "blank line"


class Source:
    """A source being read. `progress` is where it stands once the outbox at hand is committed."""

    def __init__(
        self,
        context: IngestContext,
        address: Address,
        progress: Progress,
        fingerprint: Fingerprint,
        *,
        has_void: bool = False,
    ) -> None:
        self._context = context
        self._address = address
        self._partitions = cycle(address.partitions)
        self._registered: Registered | None = None
        self._codec: JsonCodec | None = None
        self._auto = Waiting()
        # What was rejected of it before, under other settings, is so no more.
        self._has_void = has_void
        self.progress = progress
        self.fingerprint = fingerprint

    @property
    def has_schema(self) -> bool:
        """Whether its header is read."""
        return self._registered is not None

    async def take(
        self, data: bytes, outbox: Outbox, expected: Expected, *, size: int = 0, changed_at_ns: int = 0
    ) -> int:
        """Put the records in `data`, which begins at `progress.offset`, into the outbox; return the bytes used.

        Unless more is expected the source has ended, its file at `size` bytes and last changed at `changed_at_ns`, when
        no row is left. Very many rejects are left for another call.
        Raises SourceError when its beginning cannot be read.
        """
        used = self._finish_line(data, outbox)
        is_header_left = False
        if self._registered is None:
            begun, is_header_left = await self._take_opening(data[used:], outbox, expected)
            used += begun
        if self._registered is not None:
            used += self._take_rows(data[used:], self._registered, outbox, expected)
        if expected is not Expected.MORE and (used == len(data) or is_header_left):
            self._end(outbox, size, changed_at_ns)
        return used

    def _end(self, outbox: Outbox, size: int, changed_at_ns: int) -> None:
        if not self.progress.ended:
            parts = len(self._address.partitions)
            ended = Ended(self.progress.source, self.progress.tally, self.progress.rejected, parts)
            pack_end(outbox, self._context.topics, self._address, ended)
        was_ended = self.progress.ended
        self.progress = replace(self.progress, ended=True, size=size, changed_at_ns=changed_at_ns)
        if not was_ended and (line := self._context.find_skipped_whole(self.progress)):
            log.warning("nothing of the source is left", reason=line)

    def _finish_line(self, data: bytes, outbox: Outbox) -> int:
        """Take what belongs to the last line that was taken; return the bytes used.

        The second half of CRLF, the first of which was at the source's end; or, behind a row without a line ending,
        that ending, or bytes that come too late.
        """
        if not data:
            return 0
        if not self.progress.unterminated:
            is_half = data.startswith(b"\n") and self.fingerprint.tail.endswith(b"\r")
            if is_half:
                self._move(data[:1], lines=0)
            return int(is_half)
        ending = ENDING.search(data)
        if ending is not None and ending.start() == 0:
            self._move(data[: ending.end()], lines=0, unterminated=False)
            return ending.end()
        late, used = (data, len(data)) if ending is None else (data[: ending.start()], ending.end())
        reason = "the rest of a row that was taken as ended, because the file had not grown for UNTERMINATED_S seconds"
        reject = Reject(late, self.progress.line - 1, self.progress.offset, reason)
        self._reject(reject, outbox)
        self._move(data[:used], lines=0, unterminated=ending is None, rejected=self.progress.rejected + 1)
        return used

    async def _take_opening(self, data: bytes, outbox: Outbox, expected: Expected) -> tuple[int, bool]:
        """Take the source's beginning; return the bytes used, and whether the rest is no more than half a header."""
        if self.progress.schema:
            self._use(await self._context.registry.find(self.progress.schema))
            return 0, False
        options, opening = self._context.settings.read_options, self._find_opening(data, expected)
        if opening is None:
            # A header alone says too little for `auto`, also one with its line ending.
            is_header = options.is_auto and options.header == "first" and not self._auto.has_lines
            is_left = expected is Expected.NOTHING or is_header or lacks_header(data, options, self.progress.line)
            return 0, is_left and expected is not Expected.MORE
        left = bytes_left(data, opening)
        used = data[: opening.consumed - left]
        changes: dict[str, Any] = {"rejected": self.progress.rejected + len(opening.rejects)}
        schema = None if left else opening.schema
        if schema is not None:
            self._use(await self._register(schema))
            changes["schema"] = schema.id
            self._tell_opening(schema, opening.trouble)
        # Behind whatever may fail: what is in the outbox goes out.
        if used or schema is not None:
            if self._has_void:
                pack_begun_anew(outbox, self._context.topics, self._address)
                self._has_void = False
            for reject in opening.rejects:
                self._reject(reject, outbox)
            changes["begun"] = begun_with(options, None if schema is None else schema.dialect)
            self._move(used, lines=count_breaks(used, 0, len(used)) if left else opening.lines, **changes)
        return len(used), left > 0

    def _find_opening(self, data: bytes, expected: Expected) -> Opening | None:
        options, progress, now = self._context.settings.read_options, self.progress, time.monotonic()
        hurry = self._auto.hurries(data, options, now)
        find = partial(find_opening, data, options, line=progress.line, offset=progress.offset, hurry=hurry)
        try:
            opening = find(at_end=expected is Expected.NOTHING)
        except ValueError as error:
            raise SourceError(f"{progress.source}: its beginning cannot be read: {error}") from None
        if opening is None and expected is Expected.NOT_NOW and options.header == "first":
            # A dialect that is to be found out waits for more than a few rows have. Where something is wrong, more may
            # mend it.
            with suppress(ValueError):
                found = find(at_end=True)
                opening = None if found is not None and found.trouble else found
        is_at_end = expected is not Expected.MORE
        if opening is None and (reason := self._auto.news(data, options, now, at_end=is_at_end)):
            log.info("dialect not found out yet", source=progress.source, reason=reason)
        return opening

    async def _register(self, schema: Schema) -> Registered:
        try:
            return await self._context.registry.register(schema)
        except RecordTooLargeError as error:
            raise SourceError(too_long(self.progress.source, str(error))) from error

    @property
    def is_undecided(self) -> bool:
        """Whether its dialect is to be found out once some time has passed, also when nothing more comes."""
        return self._auto.since is not None and self._registered is None

    @property
    def decides_at(self) -> float:
        """When its dialect is found out from the complete lines that it has."""
        return self._auto.over_at if self._registered is None else math.inf

    def _tell_opening(self, schema: Schema, trouble: str) -> None:
        source, columns = self.progress.source, len(schema.columns)
        if self._context.settings.read_options.is_auto:
            delimiter, quote, _, _ = dialect_traits(schema)
            log.info("dialect found out", source=source, delimiter=delimiter, quote=quote, columns=columns)
        if trouble:
            log.warning(
                "the header's quotes are wrong: its first line is taken as it stands",
                source=source,
                reason=trouble,
                columns=columns,
            )

    def _use(self, registered: Registered) -> None:
        self._registered = registered
        self._codec = JsonCodec(registered.schema) if registered.schema.row_format == "json" else None

    def _take_rows(self, data: bytes, registered: Registered, outbox: Outbox, expected: Expected) -> int:
        if not data:
            return 0
        schema = registered.schema
        framed = self._frame(data, schema, expected)
        if not framed.consumed:
            return 0
        at_end = expected is Expected.NOTHING and framed.consumed == len(data)
        if at_end and data.endswith(b"\r") and schema.dialect.eol != b"\r":
            framed = with_half_ending(framed, self.progress.line, self.progress.offset)
        total, rejected = self.progress.tally, self.progress.rejected
        partition = next(self._partitions)
        for part in to_values(framed.frames, self._codec, self._context.settings.max_row_bytes):
            if isinstance(part, Reject):
                rejected += 1
                self._reject(part, outbox)
            else:
                block, values = part
                total += tally(block.rows)
                pack_rows(outbox, self._context.topics, self._address, schema.id, block, values, partition)
        unterminated = at_end and not data.endswith((b"\n", b"\r"))
        if unterminated and isinstance(framed.frames[-1], RowBlock):
            log.info(
                "the last row has no line ending and is taken as it is",
                source=self.progress.source,
                line=self.progress.line + framed.lines - 1,
            )
        used = data[: framed.consumed]
        self._move(used, lines=framed.lines, tally=total, rejected=rejected, unterminated=unterminated)
        return framed.consumed

    def _frame(self, data: bytes, schema: Schema, expected: Expected) -> Framed:
        find = partial(
            frame,
            data,
            dialect=schema.dialect,
            columns=len(schema.columns),
            line=self.progress.line,
            offset=self.progress.offset,
            max_row_bytes=self._context.settings.max_row_bytes,
            most_rejects=MOST_REJECTS,
        )
        framed = find(at_end=expected is Expected.NOTHING)
        if expected is Expected.NOT_NOW and data.endswith(b"\r") and schema.dialect.eol == b"\r":
            # Where lines end with CR, the last one is complete, unless it, or one before, is within quotes.
            whole = find(at_end=True)
            is_one_more = _count_records(whole) == _count_records(framed) + 1
            if is_one_more and whole.consumed == len(data) and isinstance(whole.frames[-1], RowBlock):
                return whole
        return framed

    def _reject(self, reject: Reject, outbox: Outbox) -> None:
        if not self.progress.reason and reject.reason != _BLANK_LINE:
            self.progress = replace(self.progress, reason=shortened(reject.reason))
        pack_reject(outbox, self._context.topics, self._address, reject, self._context.settings.max_row_bytes)

    def _move(self, used: bytes, *, lines: int, **changes: Any) -> None:
        self.fingerprint = self.fingerprint.after(used)
        self.progress = replace(
            self.progress,
            offset=self.progress.offset + len(used),
            line=self.progress.line + lines,
            head=self.fingerprint.head_digest,
            tail=self.fingerprint.tail_digest,
            ended=False,
            **changes,
        )


def _count_records(framed: Framed) -> int:
    return sum(len(part.rows) if isinstance(part, RowBlock) else 1 for part in framed.frames)
