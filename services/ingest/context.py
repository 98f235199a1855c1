"""What all sources of an ingest share, and what is said of one that gave no row."""

from dataclasses import dataclass, field, replace

import structlog
from aiokafka import TopicPartition

from common.errors import ServiceError, TooManyRejectedError
from common.pipeline.partitions import Partitions
from common.pipeline.registry import Registry
from common.pipeline.topics import Topics
from common.protocol.identity import describe_other, is_other
from common.protocol.partitioner import partition_for
from common.protocol.progress import Progress
from common.protocol.tolerance import find_excess, rejected_whole
from services.ingest.begun import is_void
from services.ingest.outgoing import Address
from services.ingest.settings import IngestSettings

log = structlog.get_logger()


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

    def writes_to(self) -> tuple[TopicPartition, ...]:
        """The partitions that rows and rejections of any source may go to."""
        return Partitions.of(self.settings).rows_and_rejected


def find_skipped_whole(source: str, skip_lines: int, *, lines: int, has_schema: bool) -> str:
    """Say in one line that SKIP_LINES leaves nothing of a source of so many lines; empty where it does not."""
    if has_schema or not 0 < lines <= skip_lines:
        return ""
    has = f"{lines} line{'' if lines == 1 else 's'}"
    return f"{source}: it has {has}, and SKIP_LINES={skip_lines} leaves none of them: set it lower"


def too_long(source: str, why: str) -> str:
    """Say in one line that a source's header is longer than can be kept."""
    return f"{source}: its header is too long ({why}): is it a CSV file?"
