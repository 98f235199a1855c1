"""One source: its bytes taken record by record into an outbox, its progress moved on."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import structlog
from aiokafka import TopicPartition

from common.errors import ServiceError, SourceError, TooManyRejectedError
from common.finite_run import shortened
from common.identity import describe_other, is_other
from common.progress import Progress
from common.records import Ended
from common.registry import Registered, Registry
from common.row import JsonCodec
from common.schema import Schema
from common.schema_differences import dialect_traits
from common.tally import tally
from common.tolerance import find_excess, rejected_whole
from common.topics import Topics, partition_for
from common.transaction import Outbox
from services.ingest.begun import begun_with, is_void
from services.ingest.files import Window
from services.ingest.framing import Reject, Run, frame
from services.ingest.opening import find_opening
from services.ingest.packing import Address, json_parts, pack_begun_anew, pack_end, pack_reject, pack_run
from services.ingest.settings import IngestSettings
from services.ingest.waiting import Waiting

log = structlog.get_logger()

# What framing says of it: it is rejected, and was no row.
_BLANK_LINE = "blank line"
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Shop:
    """What every source is carried with: settings, topics and schemas, and the id of the topic `rows`."""

    settings: IngestSettings
    topics: Topics
    registry: Registry
    rows_id: str = ""
    _told: set[tuple[str, ...]] = field(default_factory=set)

    def address(self, source: str, key: bytes) -> Address:
        """Where a source's records go: to one partition, which keeps their order, or to all of them."""
        partitions = self.settings.partitions
        if self.settings.order == "source":
            return Address(source, key, (partition_for(key, partitions),))
        return Address(source, key, tuple(range(partitions)))

    def new_progress(self, source: str) -> Progress:
        """Of a source that nothing was read of."""
        return Progress(source, rows_id=self.rows_id)

    def check_progress(self, progress: Progress) -> Progress:
        """The progress, pinned to `rows`; ServiceError when the source's rows are in another topic of that name."""
        if is_other(progress.rows_id, self.rows_id):
            what = f"source {progress.source}"
            raise ServiceError(describe_other(self.topics.rows, what, progress.rows_id, self.rows_id))
        return replace(progress, rows_id=self.rows_id or progress.rows_id)

    def tell_at_rest(self, source: str, changed: tuple[str, ...]) -> None:
        """Say that a source read to its end was so under other settings: of many that are alike the first alone."""
        if changed not in self._told:
            self._told.add(changed)
            log.warning(
                "sources that were read to their ends under other settings stay as they are",
                first=source,
                changed=changed,
            )

    def check_rejected(self, progress: Progress) -> None:
        """TooManyRejectedError when more of a source were rejected than may be."""
        if is_void(progress, self.settings.wanted):
            return
        if excess := find_excess(self.settings.tolerance, progress):
            raise TooManyRejectedError(excess)

    def find_rejected_whole(self, progress: Progress) -> str:
        """Say that every row of a source was rejected, where that may not be."""
        return rejected_whole(self.settings.tolerance, progress)

    def find_skipped_whole(self, progress: Progress) -> str:
        """Say that SKIP_LINES leaves nothing of a source, where it has ended so."""
        lines = progress.line - 1 if progress.ended else 0
        skip_lines = self.settings.skip_lines
        return find_skipped_whole(progress.source, skip_lines, lines=lines, has_schema=bool(progress.schema))

    def writes_to(self) -> list[TopicPartition]:
        """The partitions that rows and rejections of any source may go to."""
        rows = [TopicPartition(self.topics.rows, number) for number in range(self.settings.partitions)]
        return [*rows, TopicPartition(self.topics.rejected, 0)]


def find_skipped_whole(source: str, skip_lines: int, *, lines: int, has_schema: bool) -> str:
    """Say in one line that SKIP_LINES leaves nothing of a source of so many lines; empty where it does not."""
    if has_schema or not 0 < lines <= skip_lines:
        return ""
    has = f"{lines} line{'' if lines == 1 else 's'}"
    return f"{source}: it has {has}, and SKIP_LINES={skip_lines} leaves none of them: set it lower"


class Source:
    """A source being read. `progress` is where it stands once the outbox at hand is committed."""

    def __init__(
        self, shop: Shop, address: Address, progress: Progress, window: Window, *, has_void: bool = False
    ) -> None:
        self._shop = shop
        self._address = address
        self._partitions = cycle(address.partitions)
        self._registered: Registered | None = None
        self._codec: JsonCodec | None = None
        self._auto = Waiting()
        # What was rejected of it before, under other settings, is so no more.
        self._has_void = has_void
        self.progress = progress
        self.window = window

    async def take(self, data: bytes, outbox: Outbox, *, at_end: bool, size: int = 0, changed_at_ns: int = 0) -> int:
        """Put the records in `data`, which begins at `progress.offset`, into the outbox; return the bytes used.

        With `at_end` the last record may lack its line ending, and the source has ended, its file at `size` bytes
        and last changed at `changed_at_ns`.
        Raises SourceError when its beginning cannot be read.
        """
        used = self._finish_line(data, outbox) if self.progress.unterminated and data else 0
        if self._registered is None:
            used += await self._take_opening(data[used:], outbox, at_end=at_end)
        if self._registered is not None:
            used += self._take_rows(data[used:], self._registered, outbox, at_end=at_end)
        # Of one whose dialect is not found out nothing is taken at its end: it ends again when it is another size.
        if at_end and not (self.progress.ended and self.progress.size == size):
            self.progress = replace(self.progress, ended=True, size=size, changed_at_ns=changed_at_ns)
            ended = Ended(
                self.progress.source, self.progress.tally, self.progress.rejected, len(self._address.partitions)
            )
            pack_end(outbox, self._shop.topics, self._address, ended)
            if line := self._shop.find_skipped_whole(self.progress):
                log.warning("nothing of the source is left", reason=line)
        return used

    def _finish_line(self, data: bytes, outbox: Outbox) -> int:
        """What follows a last row that was taken without its line ending: that ending, or bytes that come too late."""
        ending = _LINE_END.search(data)
        if ending is not None and ending.start() == 0:
            self._move(data[: ending.end()], lines=0, unterminated=False)
            return ending.end()
        late, used = (data, len(data)) if ending is None else (data[: ending.start()], ending.end())
        reason = "the rest of a row that was taken as ended, because the file had not grown for SETTLE_S seconds"
        reject = Reject(late, self.progress.line - 1, self.progress.offset, reason)
        self._reject(reject, outbox)
        self._move(data[:used], lines=0, unterminated=ending is None, rejected=self.progress.rejected + 1)
        return used

    async def _take_opening(self, data: bytes, outbox: Outbox, *, at_end: bool) -> int:
        if self.progress.schema:
            self._use(await self._shop.registry.find(self.progress.schema))
            return 0
        progress, wanted = self.progress, self._shop.settings.wanted
        now = time.monotonic()
        hurry = self._auto.hurries(data, wanted, now)
        try:
            opening = find_opening(data, wanted, line=progress.line, offset=progress.offset, at_end=at_end, hurry=hurry)
        except ValueError as error:
            raise SourceError(f"{progress.source}: its beginning cannot be read: {error}") from None
        if opening is None:
            if reason := self._auto.news(data, wanted, now, at_end=at_end):
                log.info("dialect not found out yet", source=progress.source, reason=reason)
            return 0
        if self._has_void:
            pack_begun_anew(outbox, self._shop.topics, self._address)
            self._has_void = False
        for reject in opening.rejects:
            self._reject(reject, outbox)
        changes: dict[str, Any] = {"rejected": progress.rejected + len(opening.rejects)}
        if opening.schema is not None:
            self._use(await self._shop.registry.register(opening.schema))
            changes["schema"] = opening.schema.id
            self._tell_opening(opening.schema, opening.trouble)
        changes["begun"] = begun_with(wanted, None if opening.schema is None else opening.schema.dialect)
        self._move(data[: opening.consumed], lines=opening.lines, unterminated=opening.unterminated, **changes)
        return opening.consumed

    @property
    def is_undecided(self) -> bool:
        """Whether its dialect is to be found out once some time has passed, also when nothing more comes."""
        return self._auto.since is not None and self._registered is None

    def _tell_opening(self, schema: Schema, trouble: str) -> None:
        source, columns = self.progress.source, len(schema.columns)
        if self._shop.settings.wanted.is_auto:
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

    def _take_rows(self, data: bytes, registered: Registered, outbox: Outbox, *, at_end: bool) -> int:
        if not data:
            return 0
        schema = registered.schema
        framed = frame(
            data,
            dialect=schema.dialect,
            columns=len(schema.columns),
            line=self.progress.line,
            offset=self.progress.offset,
            at_end=at_end,
            max_row_bytes=self._shop.settings.max_row_bytes,
        )
        if not framed.consumed:
            return 0
        total, rejected = self.progress.tally, self.progress.rejected
        partition = next(self._partitions)
        for part in to_values(framed.parts, self._codec, self._shop.settings.max_row_bytes):
            if isinstance(part, Reject):
                rejected += 1
                self._reject(part, outbox)
            else:
                run, values = part
                total += tally(run.rows)
                pack_run(outbox, self._shop.topics, self._address, schema.id, run, values, partition)
        unterminated = at_end and data[framed.consumed - 1 : framed.consumed] not in (b"\n", b"\r")
        used = data[: framed.consumed]
        self._move(used, lines=framed.lines, tally=total, rejected=rejected, unterminated=unterminated)
        return framed.consumed

    def _reject(self, reject: Reject, outbox: Outbox) -> None:
        if not self.progress.reason and reject.reason != _BLANK_LINE:
            self.progress = replace(self.progress, reason=shortened(reject.reason))
        pack_reject(outbox, self._shop.topics, self._address, reject, self._shop.settings.max_row_bytes)

    def _move(self, used: bytes, *, lines: int, **changes: Any) -> None:
        self.window = self.window.moved(used)
        self.progress = replace(
            self.progress,
            offset=self.progress.offset + len(used),
            line=self.progress.line + lines,
            head=self.window.head_digest,
            tail=self.window.tail_digest,
            ended=False,
            **changes,
        )


def to_values(
    parts: list[Run | Reject], codec: JsonCodec | None, max_row_bytes: int
) -> Iterator[tuple[Run, list[bytes]] | Reject]:
    """Each run with what its records hold."""
    for part in parts:
        if isinstance(part, Reject):
            yield part
        elif codec is not None:
            yield from json_parts(part, codec, max_row_bytes)
        else:
            yield part, part.rows
