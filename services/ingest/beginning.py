"""The beginning of a source: wait until there is enough of it, then register its schema."""

import time

import structlog
from msgspec import Struct, field

from common.errors import RecordTooLargeError, SourceError
from common.pipeline.schema_numbers import Registered
from common.protocol.progress import Progress
from common.rows.schema import Schema
from common.rows.schema_differences import dialect_traits
from services.ingest.changed_settings import begun_with
from services.ingest.context import IngestContext, too_long
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.following import find_expected_opening
from services.ingest.parsing.framing import Reject
from services.ingest.parsing.opening import Opening, bytes_left, lacks_header
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.patience import DialectPatience
from services.ingest.parsing.patterns import count_breaks

log = structlog.get_logger()


class SourceBeginning(Struct, frozen=True):
    """What to take of a source's beginning, and the settings that it was read with, as `begun_with` gives them.

    `is_header_left`: what remains is at most half a header, or half a line to skip.
    """

    used: bytes = b""
    lines: int = 0
    rejects: tuple[Reject, ...] = ()
    registered: Registered | None = None
    settings: dict[str, str] = field(default_factory=dict)
    is_header_left: bool = False


class BeginningFinder:
    """Finds what a source begins with."""

    def __init__(self, context: IngestContext) -> None:
        self._context = context
        self._patience = DialectPatience()

    @property
    def is_undecided(self) -> bool:
        """Whether the dialect will be detected after some time, even if no more data comes."""
        return self._patience.since is not None

    @property
    def decides_at(self) -> float:
        """The time.monotonic at which the dialect is detected from the complete lines so far."""
        return self._patience.over_at

    async def find(self, data: bytes, progress: Progress, expected: Expected) -> SourceBeginning:
        """What to take of `data`, which begins at `progress`. SourceError if it cannot be read."""
        options = self._context.settings.read_options
        opening = self._find_opening(data, options, progress, expected)
        if opening is None:
            # A header alone shows too little for `auto`, even with its line ending.
            is_header = options.is_auto and options.header == "first" and not self._patience.has_lines
            is_left = expected is Expected.NOTHING or is_header or lacks_header(data, options, progress.line)
            return SourceBeginning(is_header_left=is_left and expected is not Expected.MORE)
        left = bytes_left(data, opening)
        used = data[: opening.consumed - left]
        lines = count_breaks(used, 0, len(used)) if left else opening.lines
        schema = None if left else opening.schema
        if schema is None:
            return SourceBeginning(
                used, lines, opening.rejects, None, begun_with(options, None), is_header_left=left > 0
            )
        registered = await self._register(schema, progress.source)
        self._log_opening(schema, progress.source, opening.trouble)
        return SourceBeginning(used, lines, opening.rejects, registered, begun_with(options, schema.dialect))

    def _find_opening(
        self, data: bytes, options: ReadOptions, progress: Progress, expected: Expected
    ) -> Opening | None:
        now = time.monotonic()
        hurry = self._patience.hurries(data, options, now)
        try:
            opening = find_expected_opening(
                data, options, expected, line=progress.line, offset=progress.offset, hurry=hurry
            )
        except ValueError as error:
            raise SourceError(f"{progress.source}: its beginning cannot be read: {error}") from None
        is_at_end = expected is not Expected.MORE
        if opening is None and (reason := self._patience.news(data, options, now, at_end=is_at_end)):
            log.info("dialect not detected yet", source=progress.source, reason=reason)
        return opening

    async def _register(self, schema: Schema, source: str) -> Registered:
        try:
            return await self._context.registry.register(schema)
        except RecordTooLargeError as error:
            raise SourceError(too_long(source, str(error))) from error

    def _log_opening(self, schema: Schema, source: str, trouble: str) -> None:
        columns = len(schema.columns)
        if self._context.settings.read_options.is_auto:
            delimiter, quote, _, _ = dialect_traits(schema)
            log.info("dialect detected", source=source, delimiter=delimiter, quote=quote, columns=columns)
        if trouble:
            log.warning(
                "the header's quotes are wrong: its first line is taken as it stands",
                source=source,
                reason=trouble,
                columns=columns,
            )
