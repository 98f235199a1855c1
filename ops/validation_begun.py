"""What of the files was begun under other settings by an earlier run, and what ingest makes of that."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from common.errors import SourceError
from common.progress import Progress
from ops.demo_proof import Finding
from services.ingest.begun import find_changes, refusal
from services.ingest.content import content_of
from services.ingest.opening import Wanted


def judge_begun(files: Mapping[str, Path], known: Mapping[str, Progress], wanted: Wanted) -> list[Finding]:
    """A line for each file that is refused or read anew, and one for all that stay as they are; `files` by source."""
    findings: list[Finding] = []
    at_rest: list[str] = []
    for source, path in files.items():
        progress = known.get(source)
        changed = _changes(path, progress, wanted) if progress is not None else ()
        if progress is None or not changed:
            continue
        if not progress.tally.rows:
            text = f"{source} is read anew, because no row of it went out under other settings ({'; '.join(changed)})"
            findings.append(Finding(holds=True, text=text))
        elif progress.ended and path.stat().st_size == progress.size:
            at_rest.append(source)
        else:
            findings.append(Finding(holds=False, text=refusal(progress, changed)))
    if at_rest:
        are = "1 file was" if len(at_rest) == 1 else f"{len(at_rest):,} files were"
        text = f"{are} read to the end under other settings, and nothing of that is sent again: {at_rest[0]}"
        findings.append(Finding(holds=True, text=text + ("" if len(at_rest) == 1 else ", …")))
    return findings


def _changes(path: Path, progress: Progress, wanted: Wanted) -> tuple[str, ...]:
    """Which settings are others now; none where the file is not the one that was read, or cannot be read at all."""
    content = content_of(path)
    with suppress(OSError, SourceError):
        changed = find_changes(content, progress, wanted)
        if changed:
            content.window(progress)
        return changed
    return ()
