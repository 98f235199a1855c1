"""What all sources of an ingest share, and what is reported of a source without rows."""

import structlog
from aiokafka import TopicPartition
from msgspec import Struct, field
from msgspec.structs import replace

from common.counts import Counts
from common.errors import ServiceError, TooManyRejectedError
from common.pipeline.partitions import Partitions
from common.pipeline.registry import Registry
from common.pipeline.topics import Topics
from common.protocol.identity import NEWEST, describe_other, is_other
from common.protocol.partitioner import partition_for
from common.protocol.progress import Progress
from common.protocol.tolerance import find_excess, rejected_whole
from services.ingest.changed_settings import is_void
from services.ingest.outgoing import Address
from services.ingest.settings import IngestSettings

log = structlog.get_logger()


class IngestContext(Struct, frozen=True):
    """What every source is read and written with: settings, topics, schemas, the id of the topic `rows`, the format.

    `counts` gets what is read and committed.
    """

    settings: IngestSettings
    topics: Topics
    registry: Registry
    rows_id: str = ""
    version: int = NEWEST
    counts: Counts = field(default_factory=Counts)
    _logged: set[tuple[str, ...]] = field(default_factory=set)

    def address(self, source: str, key: bytes) -> Address:
        """Where a source's records go: to one partition, which keeps their order, or to all partitions."""
        if self.settings.order == "source":
            return Address(source, key, (partition_for(key, self.settings.partitions),), self.version)
        return self.spread(source, key)

    def spread(self, source: str, key: bytes) -> Address:
        """All partitions."""
        return Address(source, key, tuple(range(self.settings.partitions)), self.version)

    def new_progress(self, source: str) -> Progress:
        """The progress of a source that is not read yet."""
        return Progress(source, rows_id=self.rows_id, format=self.version)

    def check_progress(self, progress: Progress) -> Progress:
        """The progress, pinned to `rows`. ServiceError if the source's rows are in another topic of that name."""
        if is_other(progress.rows_id, self.rows_id):
            what = f"source {progress.source}"
            raise ServiceError(describe_other(self.topics.rows, what, progress.rows_id, self.rows_id))
        return replace(progress, rows_id=self.rows_id or progress.rows_id)

    def log_at_rest(self, source: str, changed: tuple[str, ...]) -> None:
        """Log that a source was read to its end under other settings; of many alike, log only the first."""
        if changed not in self._logged:
            self._logged.add(changed)
            log.warning(
                "sources that were read to their ends under other settings stay as they are",
                first=source,
                changed=changed,
            )

    def check_rejected(self, progress: Progress) -> None:
        """TooManyRejectedError if more of a source is rejected than MAX_REJECTED allows."""
        excess = find_excess(self.settings.tolerance, progress)
        if excess and not is_void(progress, self.settings.read_options):
            raise TooManyRejectedError(excess)

    def find_rejected_whole(self, progress: Progress) -> str:
        """Say in one line that every row of a source was rejected, if MAX_REJECTED forbids it; empty otherwise."""
        return rejected_whole(self.settings.tolerance, progress)

    def find_skipped_whole(self, progress: Progress) -> str:
        """Say in one line that SKIP_LINES leaves nothing of a source that has ended; empty otherwise."""
        lines = progress.line - 1 if progress.ended else 0
        skip_lines = self.settings.skip_lines
        return find_skipped_whole(progress.source, skip_lines, lines=lines, has_schema=bool(progress.schema))

    def writes_to(self) -> tuple[TopicPartition, ...]:
        """The partitions that rows and rejections of any source may go to."""
        return Partitions.of(self.settings).rows_and_rejected


def find_skipped_whole(source: str, skip_lines: int, *, lines: int, has_schema: bool) -> str:
    """Say in one line that SKIP_LINES leaves nothing of a source of so many lines; empty if it leaves something."""
    if has_schema or not 0 < lines <= skip_lines:
        return ""
    has = f"{lines} line{'' if lines == 1 else 's'}"
    return f"{source}: it has {has}, and SKIP_LINES={skip_lines} leaves none of them: set it lower"


def too_long(source: str, why: str) -> str:
    """Say in one line that a source's header is too long to keep."""
    return f"{source}: its header is too long ({why}): is it a CSV file?"
