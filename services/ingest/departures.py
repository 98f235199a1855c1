"""Which files of a partition's sources leave INPUT, once the sources' receipts are there."""

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from common.protocol.progress import Departure, DepartureStage, Progress
from common.protocol.receipts import Receipt
from services.ingest.after_delivery import input_root
from services.ingest.context import IngestContext
from services.ingest.delivered.decisions import UNDELIVERED, Choice, Judgement, has_left, is_delivered, judge_receipt
from services.ingest.delivered.names import aside_name
from services.ingest.files.finding import source_name
from services.ingest.files.leaving import call_each, judge_error, judge_file
from services.ingest.files.reading import ask_file
from services.ingest.followed_file import FollowedFile
from services.ingest.followed_sources import FollowedSources
from services.ingest.naming.locations import FoundFile
from services.ingest.passage import AT_ONCE, Passage
from services.ingest.scan import Scan
from services.ingest.strays import Strays

log = structlog.get_logger()

# When to judge a file again.
_AGAIN_S = {Choice.LEAVES: 0.0, Choice.WAITS: 1.0, Choice.HINDERED: 30.0}


class ReceiptNote(NamedTuple):
    """What is kept of a receipt: the number of its end, and why the file stays all the same, or ""."""

    end: int
    reason: str


class Departures:
    """The delivered sources of one partition whose files are still there, and those on their way."""

    def __init__(
        self, context: IngestContext, scan: Scan, sources: FollowedSources, commit: Callable[[], Awaitable[None]]
    ) -> None:
        self._context = context
        self._settings = context.settings
        self._sources = sources
        self._root = input_root(context.settings.input)
        self._passage = Passage(context.settings, scan, sources, commit, self._note_judgement)
        self._strays = Strays(context.settings.topic_prefix, sources)
        # The end up to which each is delivered, and when to look whether its file may leave (time.monotonic).
        self._delivered: dict[str, ReceiptNote] = {}
        self._due: dict[str, float] = {}
        # Why files stay, or are not there yet.
        self._kept: dict[str, str] = {}
        # Whether all receipts that there were have come.
        self._is_current = False

    @property
    def awaited(self) -> list[str]:
        """The sources whose files are still to leave, by what is known now."""
        sources = list(self._sources.departing)
        if not self._settings.action.keeps:
            sources += [source for source, followed in self._sources.files.items() if _may_leave(followed)]
        return [source for source in sources if source not in self._kept]

    def resume(self) -> None:
        """Go on where a predecessor was, before any source is taken up."""
        self._passage.resume()

    def begin(self) -> None:
        """Let no file leave until all receipts have come: some may not count any more."""
        self._is_current = False

    def catch_up(self) -> None:
        """Let files leave."""
        self._is_current = True

    def note(self, receipt: Receipt) -> None:
        """Take note of a receipt of one of the sources."""
        progress = self._sources.progress(receipt.source)
        if is_delivered(progress, receipt) and not has_left(progress):
            deletes = self._settings.action.kind == "delete"
            reason = judge_receipt(progress, receipt, self._settings.tolerance, deletes=deletes)
            self._delivered[receipt.source] = ReceiptNote(receipt.number, reason)
            self._due[receipt.source] = 0.0

    def drop(self, source: str) -> None:
        """Take note that a receipt does not count any more."""
        self._delivered.pop(source, None)
        self._due.pop(source, None)

    async def step(self) -> None:
        """Let the files leave that may, and take their next steps."""
        ready = self._find_ready(time.monotonic())
        if ready:
            await self._begin(ready)
        await self._passage.step()
        await self._strays.put_back()

    def _find_ready(self, now: float) -> dict[str, FoundFile]:
        ready: dict[str, FoundFile] = {}
        if not self._is_current:
            return ready
        for source, at in self._due.items():
            followed = self._sources.files.get(source)
            if at > now or followed is None or source in self._sources.departing:
                continue
            is_latest = followed.progress.ends == self._delivered[source].end
            if is_latest and (found := followed.resting) is not None:
                ready[source] = found
            if len(ready) == AT_ONCE:
                break
        return ready

    async def _begin(self, ready: Mapping[str, FoundFile]) -> None:
        asked = {source: (self._sources.progress(source), found) for source, found in ready.items()}
        judged, failed = await ask_file(call_each, self._judge, asked)
        judged |= {source: judge_error(error) for source, error in failed.items()}
        leaving: dict[str, Departure] = {}
        for source, judgement in judged.items():
            if judgement.choice is Choice.LEAVES:
                leaving[source] = self._departure(source, ready[source])
                self._due.pop(source, None)
                self._kept.pop(source, None)
            else:
                self._note_judgement(source, judgement)
        await self._passage.set_aside(leaving)

    def _judge(self, progress: Progress, found: FoundFile) -> Judgement:
        context, delivered = self._context, self._delivered.get(progress.source)
        if delivered is None:
            return UNDELIVERED
        if line := context.find_rejected_whole(progress) or context.find_skipped_whole(progress) or delivered.reason:
            return Judgement(Choice.STAYS, line)
        return judge_file(progress, found, self._root, self._settings.delivered_folder)

    def _departure(self, source: str, found: FoundFile) -> Departure:
        path, end = Path(found.path), self._sources.progress(source).ends
        aside = path.with_name(aside_name(self._settings.topic_prefix, source, end, path.name))
        return Departure(DepartureStage.ASIDE, end, found.file, source_name(path), source_name(aside))

    def _note_judgement(self, source: str, judgement: Judgement) -> None:
        """The file does not leave now: log why, unless it may leave soon or that was logged before."""
        choice = judgement.choice
        self._due.pop(source, None)
        if choice in _AGAIN_S and source in self._delivered:
            self._due[source] = time.monotonic() + _AGAIN_S[choice]
        # With ONCE, what changes is not read again.
        if choice is Choice.LEAVES or (choice is Choice.WAITS and not self._settings.once):
            return
        if self._kept.get(source) != judgement.reason:
            log.warning("file is kept after its delivery", source=source, reason=judgement.reason)
        self._kept[source] = judgement.reason


def _may_leave(followed: FollowedFile) -> bool:
    progress = followed.progress
    # What was begun before the pipeline was upgraded never has a receipt.
    has_receipts = progress.format > 1
    return has_receipts and progress.ended and not followed.trouble and not has_left(progress)
