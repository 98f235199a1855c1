"""Files that an earlier run began with other settings, and what ingest would do about each."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from common.errors import SourceError
from common.protocol.progress import Progress
from ops.findings import Finding
from services.ingest.changed_settings import explain_changed_settings, find_changed_settings
from services.ingest.files.content import content_of
from services.ingest.files.finding import look_at
from services.ingest.naming.locations import SourceLocation, SourceLocations
from services.ingest.parsing.options import ReadOptions


def as_sources(files: Mapping[str, Path], locations: Mapping[str, SourceLocation]) -> dict[str, Path]:
    """The files by source: a renamed file keeps its source, and a new file under its old name is left out."""
    known = SourceLocations()
    for source, location in locations.items():
        known.put(source, location)
    # Sources whose file is known come last, so that they win a path that another source once had.
    by_certainty = sorted(locations.items(), key=lambda each: bool(each[1].file))
    by_path = {location.path: source for source, location in by_certainty}
    sources: dict[str, Path] = {}
    for name, found in look_at(files).items():
        begun = known.source_of(found.file) or by_path.get(name)
        # A new file under the old name of a renamed one has not been read, so no settings of an earlier run apply.
        if begun is not None or name not in locations:
            sources[begun or name] = Path(found.path)
    return sources


def judge_begun(files: Mapping[str, Path], known: Mapping[str, Progress], options: ReadOptions) -> list[Finding]:
    """A finding for each file that is refused or read again, and one for all that were read to the end."""
    findings: list[Finding] = []
    at_rest: list[str] = []
    for source, path in files.items():
        progress = known.get(source)
        changed, size = _changes(path, progress, options) if progress is not None else ((), 0)
        if progress is None or not changed:
            continue
        if not progress.tally.rows:
            text = (
                f"{source} was begun with other settings ({'; '.join(changed)}) but no row of it was sent: "
                "it is read again from its beginning"
            )
            findings.append(Finding(holds=True, text=text))
        elif progress.ended and size == progress.size:
            at_rest.append(source)
        else:
            findings.append(Finding(holds=False, text=explain_changed_settings(progress, changed)))
    if at_rest:
        are = "1 file was" if len(at_rest) == 1 else f"{len(at_rest):,} files were"
        text = f"{are} read to the end under other settings, and no row is sent again: {at_rest[0]}"
        findings.append(Finding(holds=True, text=text + ("" if len(at_rest) == 1 else ", …")))
    return findings


def _changes(path: Path, progress: Progress, options: ReadOptions) -> tuple[tuple[str, ...], int]:
    """The changed settings in words, and the file's size; none if it cannot be read or is another file by now."""
    with suppress(OSError, SourceError):
        content = content_of(path)
        changed = find_changed_settings(content, progress, options)
        if changed:
            content.fingerprint(progress)
        return changed, path.stat().st_size
    return (), 0
