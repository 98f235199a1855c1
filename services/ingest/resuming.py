"""A source taken up where its progress says: read on, refused, or read from its beginning."""

import structlog
from msgspec import Struct
from msgspec.structs import replace

from common.protocol.progress import Progress
from services.ingest.changed_settings import explain_changed_settings, find_changed_settings
from services.ingest.context import IngestContext
from services.ingest.files.content import Content
from services.ingest.files.finding import source_key
from services.ingest.files.reading import ask_file
from services.ingest.naming.locations import home_and_number
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.source import Source

log = structlog.get_logger()


class Resumed(Struct, frozen=True):
    """A source, and why no further row of it may be read; empty if it may."""

    source: Source
    refusal: str = ""


async def resume_source(context: IngestContext, content: Content, progress: Progress, size: int) -> Resumed:
    """Take up a source whose file has `size` bytes. OSError, SourceError unless it still begins as it was read."""
    changed = await ask_file(find_changed_settings, content, progress, context.settings.read_options)
    fingerprint: Fingerprint = await ask_file(content.fingerprint, progress)
    home, _ = home_and_number(progress.source)
    address = context.address(progress.source, source_key(home))
    has_void, refused = False, ""
    if changed and not progress.tally.rows:
        has_void = progress.rejected > 0
        # The ends are counted on: no two ends of a source have one number.
        progress = replace(context.new_progress(progress.source), ends=progress.ends)
        fingerprint = Fingerprint()
        log.info(
            "source is read from its beginning again: no row of it went out", source=progress.source, changed=changed
        )
    elif changed:
        refused = explain_changed_settings(progress, changed)
        if progress.ended and progress.size == size:
            context.log_at_rest(progress.source, changed)
    log.info("source opened", source=progress.source, offset=progress.offset)
    return Resumed(Source(context, address, progress, fingerprint, has_void=has_void), refused)
