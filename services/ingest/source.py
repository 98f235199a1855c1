"""One source: its bytes framed, encoded and packed into an outbox, its progress moved on."""

import math
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import structlog
from msgspec.structs import replace

from common.kafka.transaction import Outbox
from common.pipeline.schema_numbers import Registered
from common.protocol.finite_run import shortened
from common.protocol.messages import Ended
from common.protocol.progress import Progress
from common.rows.codec import JsonCodec
from common.rows.reasons import Code
from common.rows.tally import tally
from services.ingest.beginning import BeginningFinder
from services.ingest.context import IngestContext
from services.ingest.outgoing import Address, encode_frames, pack_begun_anew, pack_end, pack_reject, pack_rows
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.parsing.following import find_line_rest, frame_expected
from services.ingest.parsing.framing import Framed, Reject, RowBlock

log = structlog.get_logger()


class Source:
    """A source being read. `progress` is where it stands once the current outbox is committed."""

    def __init__(
        self, context: IngestContext, address: Address, progress: Progress, fingerprint: Fingerprint, *, has_void: bool
    ) -> None:
        self._context = context
        self._address = address
        self._partitions = cycle(address.partitions)
        self._beginning = BeginningFinder(context)
        self._registered: Registered | None = None
        self._codec: JsonCodec | None = None
        # What was rejected before, under other settings, is void.
        self._has_void = has_void
        self.progress = progress
        self.fingerprint = fingerprint

    async def take(
        self, data: bytes, outbox: Outbox, expected: Expected, *, size: int = 0, changed_at_ns: int = 0
    ) -> int:
        """Put the records in `data`, which begins at `progress.offset`, into the outbox; return the bytes used.

        Unless more is expected the source has ended once no row is left; its file then has `size` bytes and was last
        changed at `changed_at_ns`. Of very many rejects some are left for another call.
        SourceError if its beginning cannot be read.
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

    def _take_rows(self, data: bytes, registered: Registered, outbox: Outbox, expected: Expected) -> int:
        """Frame, encode and pack; return the bytes used."""
        if not data:
            return 0
        schema, line, offset = registered.schema, self.progress.line, self.progress.offset
        max_row_bytes = self._context.settings.max_row_bytes
        framed = frame_expected(data, schema, expected, line=line, offset=offset, max_row_bytes=max_row_bytes)
        if not framed.consumed:
            return 0
        total, rejected = self.progress.tally, self.progress.rejected
        partition, read_ms = next(self._partitions), int(time.time() * 1000)
        for encoded in encode_frames(framed.frames, self._codec, max_row_bytes):
            if isinstance(encoded, Reject):
                rejected += 1
                self._reject(encoded, outbox)
            else:
                block, values = encoded
                total += tally(self._as_written(block, values))
                outbox.rows.received += len(values)
                outbox.rows.sent += len(values)
                packed = schema.id, block, values, partition
                pack_rows(outbox, self._context.topics, self._address, *packed, read_ms=read_ms)
        is_at_end = expected is Expected.NOTHING and framed.consumed == len(data)
        is_open = is_at_end and not data.endswith((b"\n", b"\r"))
        if is_open:
            self._log_unterminated(framed)
        self._move(data[: framed.consumed], lines=framed.lines, tally=total, rejected=rejected, unterminated=is_open)
        return framed.consumed

    async def _take_opening(self, data: bytes, outbox: Outbox, expected: Expected) -> tuple[int, bool]:
        """Take the source's beginning; return the bytes used, and whether no more than half a header is left."""
        if self.progress.schema:
            self._use(await self._context.registry.find(self.progress.schema))
            return 0, False
        begun = await self._beginning.find(data, self.progress, expected)
        # Put nothing into the outbox before this point: the calls above may fail, and an outbox goes out regardless.
        if begun.used or begun.registered is not None:
            if self._has_void:
                pack_begun_anew(outbox, self._context.topics, self._address)
                self._has_void = False
            for reject in begun.rejects:
                self._reject(reject, outbox)
            changes: dict[str, Any] = {"rejected": self.progress.rejected + len(begun.rejects), "begun": begun.settings}
            if begun.registered is not None:
                self._use(begun.registered)
                changes["schema"] = begun.registered.schema.id
            self._move(begun.used, lines=begun.lines, **changes)
        return len(begun.used), begun.is_header_left

    def _finish_line(self, data: bytes, outbox: Outbox) -> int:
        """Take what belongs to the line that was taken last; return the bytes used."""
        progress, ends_with_cr = self.progress, self.fingerprint.tail.endswith(b"\r")
        rest = find_line_rest(
            data,
            line=progress.line,
            offset=progress.offset,
            unterminated=progress.unterminated,
            ends_with_cr=ends_with_cr,
        )
        if rest is None:
            return 0
        if rest.reject is not None:
            self._reject(rest.reject, outbox)
        rejected = progress.rejected + (rest.reject is not None)
        self._move(data[: rest.used], lines=0, unterminated=rest.unterminated, rejected=rejected)
        return rest.used

    def end_again(self, outbox: Outbox) -> None:
        """Put the latest end into another outbox: the transaction that it was in was aborted."""
        progress = self.progress
        self.progress = replace(progress, ended=False, ends=progress.ends - 1)
        self._end(outbox, progress.size, progress.changed_at_ns)

    def _end(self, outbox: Outbox, size: int, changed_at_ns: int) -> None:
        was_ended = self.progress.ended
        if not was_ended:
            address = self._address
            if self.progress.is_spread:
                # Its end has to come behind all of its rows, also where ORDER is another one by now.
                address = self._context.spread(address.source, address.key)
            pack_end(outbox, self._context.topics, address, self._ended(len(address.partitions)))
        ends = self.progress.ends + (not was_ended)
        self.progress = replace(self.progress, ended=True, size=size, changed_at_ns=changed_at_ns, ends=ends)
        if not was_ended and (line := self._context.find_skipped_whole(self.progress)):
            log.warning("SKIP_LINES leaves nothing of the source", reason=line)

    def _ended(self, partitions: int) -> Ended:
        progress = self.progress
        return Ended(
            progress.source,
            progress.tally,
            progress.rejected,
            partitions,
            progress.ends + 1,
            progress.offset,
            self._context.settings.row_format,
            is_older=progress.format == 1,
        )

    @property
    def is_undecided(self) -> bool:
        """Whether the dialect will be detected after some time, even if no more data comes."""
        return self._registered is None and self._beginning.is_undecided

    @property
    def decides_at(self) -> float:
        """The time.monotonic at which the dialect is detected from the complete lines so far; never if it is known."""
        return self._beginning.decides_at if self._registered is None else math.inf

    def _log_unterminated(self, framed: Framed) -> None:
        if isinstance(framed.frames[-1], RowBlock):
            log.info(
                "the last row has no line ending and is taken as it is",
                source=self.progress.source,
                line=self.progress.line + framed.lines - 1,
            )

    def _as_written(self, block: RowBlock, values: Sequence[bytes]) -> Sequence[bytes]:
        """The rows as sink writes them: what JSON gives back differs where there are quotes."""
        return block.rows if self._codec is None or block.plain else self._codec.decode_all(list(values))

    def _use(self, registered: Registered) -> None:
        self._registered = registered
        self._codec = JsonCodec(registered.schema) if registered.schema.row_format == "json" else None

    def _reject(self, reject: Reject, outbox: Outbox) -> None:
        # A blank line was never a row, so it does not explain a source without rows.
        if not self.progress.reason and reject.reason.code is not Code.BLANK_LINE:
            self.progress = replace(self.progress, reason=shortened(reject.reason.text))
        max_raw_bytes = self._context.settings.max_row_bytes
        if len(reject.raw) > max_raw_bytes:
            self.progress = replace(self.progress, cut=self.progress.cut + 1)
        pack_reject(outbox, self._context.topics, self._address, reject, max_raw_bytes)
        outbox.rows.received += 1
        outbox.rows.reject("", reject.reason.code)

    def _move(self, used: bytes, *, lines: int, **changes: Any) -> None:
        self.fingerprint = self.fingerprint.after(used)
        self.progress = replace(
            self.progress,
            offset=self.progress.offset + len(used),
            line=self.progress.line + lines,
            head=self.fingerprint.head_digest,
            tail=self.fingerprint.tail_digest,
            ended=False,
            is_spread=self.progress.is_spread or len(self._address.partitions) > 1,
            **changes,
        )
