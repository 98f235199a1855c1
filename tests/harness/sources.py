"""Files as ingest sees them, and the progress of sources that are read to their ends."""

from pathlib import Path

from common.protocol.progress import Progress
from services.ingest.files.finding import look_at, source_name
from services.ingest.naming.locations import FoundFile
from services.ingest.parsing.fingerprint import Fingerprint


def look(path: Path) -> FoundFile:
    """The file as a look at the input sees it."""
    return look_at({"": path})[""]


def read_to_its_end(path: Path) -> Progress:
    """The progress of a source that was read to the end of this file."""
    fingerprint, found = Fingerprint().after(path.read_bytes()), look(path)
    return Progress(
        source_name(path),
        offset=found.size,
        ended=True,
        size=found.size,
        changed_at_ns=found.changed_at_ns,
        head=fingerprint.head_digest,
        tail=fingerprint.tail_digest,
    )
