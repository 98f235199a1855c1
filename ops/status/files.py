"""What is at hand on this machine: the sources' files, by their inodes, and sink's ledgers."""

import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path

from common.protocol.identity import is_other
from common.protocol.output_folder import LEDGERS, is_ledger_of
from common.protocol.progress import Progress
from ops.status.observation import SeenFile
from ops.status.verdict import PATIENCE_S
from ops.verify.unpacking import Packing, packing_by_content
from services.ingest.files.finding import file_of, path_of
from services.ingest.naming.locations import SourceLocation
from services.sink.ledger.database import NEXT_OFFSET
from services.sink.ledger.inventory import count_rows, facts_of

# A longer rest is no half row, or ingest rejects it.
_LONGEST_HALF_ROW = 2**16


def look_at_files(
    sources: Mapping[str, Progress], locations: Mapping[str, SourceLocation], now_s: float, settle_s: float
) -> dict[str, SeenFile]:
    """The files of these sources that are at hand, at `now_s` (seconds since 1970). `settle_s` is ingest's SETTLE_S."""
    found: dict[str, SeenFile] = {}
    rested_at_s = now_s - max(PATIENCE_S, settle_s)
    for source, progress in sources.items():
        location = locations.get(source)
        # Without a file it has left, or another one has its path.
        if location is not None and location.file:
            seen = _look_at(path_of(location.path), location.file, progress, rested_at_s)
            if seen is not None:
                found[source] = seen
    return found


def _look_at(path: Path, file: str, progress: Progress, rested_at_s: float) -> SeenFile | None:
    try:
        status = path.stat()
        if file_of(status) != file or not stat.S_ISREG(status.st_mode):
            return None
        size = status.st_size
        if (progress.ended and progress.size == size) or not size:
            return SeenFile(size, 0)
        with path.open("rb") as content:
            if packing_by_content(content) is not Packing.NONE:
                # ingest reads it once nothing is written to it any more.
                return SeenFile(size, None, may_wait=status.st_mtime <= rested_at_s)
            left = max(0, size - progress.offset)
            if left <= _LONGEST_HALF_ROW:
                content.seek(progress.offset)
                rest = content.read(left)
                # Half a row waits for its rest, not for ingest.
                left = left if b"\n" in rest or b"\r" in rest else 0
            return SeenFile(size, left)
    except OSError:
        return None


def is_behind(root: Path, committed: Mapping[str, int]) -> bool:
    """Whether these ledgers are behind what sink has committed: it fills another folder, or this is an old copy.

    `committed` are its offsets by the paths of the ledgers, and were asked for before: a sink commits to the ledger
    first. False where no ledger is at hand, or one cannot be read.
    """
    try:
        paths = {path for path in committed if (root / path).exists()}
        if not paths:
            return False
        return paths != committed.keys() or any(
            int(facts_of(root / path).get(NEXT_OFFSET, -1)) < offset for path, offset in committed.items()
        )
    except (OSError, sqlite3.Error):
        return False


def count_written(root: Path, prefix: str, topic_ids: Mapping[str, str]) -> tuple[int, int] | None:
    """The rows in the categories' files and the rejected ones, by the ledgers of the topics with these ids.

    None where there are no such ledgers at hand.
    """
    written: dict[bool, int] = {}
    try:
        for path, is_rejected in ledgers_at(root, prefix, topic_ids):
            written[is_rejected] = written.get(is_rejected, 0) + count_rows(path)
    except (OSError, sqlite3.Error):
        # A ledger that cannot be read is not at hand: verify says what is wrong with it.
        return None
    return (written.get(False, 0), written.get(True, 0)) if written else None


def ledgers_at(root: Path, prefix: str, topic_ids: Mapping[str, str]) -> list[tuple[Path, bool]]:
    """The ledgers of the topics with these ids, and whether each is that of rejected rows.

    Empty if one is of other topics: they are another pipeline's. Raises OSError, sqlite3.Error.
    """
    found: list[tuple[Path, bool]] = []
    for path in sorted(root.glob(LEDGERS)):
        if is_ledger_of(path.name, prefix):
            topic = path.name.rpartition("-")[0]
            if is_other(facts_of(path).get("topic_id", ""), topic_ids.get(topic, "")):
                return []
            found.append((path, topic == f"{prefix}rejected"))
    return found
