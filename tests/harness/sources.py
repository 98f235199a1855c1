"""Sources that are read to their ends."""

from pathlib import Path

from common.protocol.progress import Progress
from services.ingest.files.finding import look_at, source_name
from services.ingest.files.reading import Window


def read_to_its_end(path: Path) -> Progress:
    """The progress of a source with this file."""
    window, found = Window().moved(path.read_bytes()), look_at({"": path})[""]
    return Progress(
        source_name(path),
        offset=found.size,
        ended=True,
        size=found.size,
        changed_at_ns=found.changed_at_ns,
        head=window.head_digest,
        tail=window.tail_digest,
    )
