"""The way of delivered files out of INPUT: each step is recorded in the source's progress before it is taken.

A file first gets a hidden name beside its own. If it has not changed after SETTLE_S it goes on, otherwise it is put
back. If a death interrupts a step, the next owner of the partition sees it from the record and from the disk.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from msgspec.structs import replace

from common.protocol.progress import Departure, DepartureStage
from services.ingest.after_delivery import input_root
from services.ingest.delivered.decisions import (
    CHANGED,
    KEPT,
    LEAVES,
    UNREACHABLE,
    Choice,
    DepartureStep,
    Judgement,
    next_departure_step,
)
from services.ingest.files.finding import path_of, source_name
from services.ingest.files.leaving import (
    call_each,
    find_targets,
    judge_error,
    leave,
    make_names_durable,
    put_back,
    set_aside,
    sight,
)
from services.ingest.files.reading import ask_file
from services.ingest.followed_sources import FollowedSources
from services.ingest.naming.locations import SourceLocation
from services.ingest.scan import Scan
from services.ingest.settings import IngestSettings

log = structlog.get_logger()

# Everything else of the partition waits meanwhile.
AT_ONCE = 200
_HOLD_S = 10.0


class Passage:
    """The files of one partition's sources that are on their way.

    `commit` commits what is recorded and returns once that is done: by then no other replica has the partition.
    `judged` is called with a source whose file does not go on, and why.
    """

    def __init__(
        self,
        settings: IngestSettings,
        scan: Scan,
        sources: FollowedSources,
        commit: Callable[[], Awaitable[None]],
        judged: Callable[[str, Judgement], None],
    ) -> None:
        self._settings = settings
        self._scan = scan
        self._sources = sources
        self._commit = commit
        self._judged = judged
        self._root = input_root(settings.input)
        self._departures: dict[str, Departure] = {}
        # When to look at each file, by time.monotonic.
        self._due: dict[str, float] = {}

    def resume(self) -> None:
        """Go on where a predecessor was, before any source is taken up."""
        locations = self._scan.catalog.locations.of
        for source, progress in self._sources.known.items():
            departure = progress.departure
            if departure is None or source not in locations:
                continue
            is_agreed = departure.stage is DepartureStage.GONE and locations[source].path != departure.path
            if not is_agreed:
                self._departures[source] = departure
                self._enter(source)

    def _enter(self, source: str) -> None:
        self._sources.departing.add(source)
        self._due[source] = time.monotonic() + self._settings.settle_s

    async def set_aside(self, departures: Mapping[str, Departure]) -> None:
        """Give files their hidden names."""
        if not departures:
            return
        await self._record(departures)
        _, failed = await ask_file(call_each, set_aside, _arguments(departures))
        for source in departures:
            self._enter(source)
        for source, error in failed.items():
            self._cancel(source, judge_error(error))

    async def step(self) -> None:
        """Take the steps that are due."""
        now = time.monotonic()
        due = [source for source, at in self._due.items() if at <= now][:AT_ONCE]
        if not due:
            return
        departures = {source: self._departures[source] for source in due}
        asked = {source: (self._sources.progress(source), each) for source, each in departures.items()}
        sighted, failed = await ask_file(call_each, sight, asked)
        self._hold({source: judge_error(error) for source, error in failed.items()})
        stays = self._settings.action.keeps
        steps = {
            source: next_departure_step(self._sources.progress(source), departures[source], sighting, stays=stays)
            for source, sighting in sighted.items()
        }

        def those_to(step: DepartureStep) -> dict[str, Departure]:
            return {source: departures[source] for source, its in steps.items() if its is step}

        self._hold(dict.fromkeys(those_to(DepartureStep.HOLD), UNREACHABLE))
        for source in those_to(DepartureStep.CANCEL):
            self._cancel(source, LEAVES)
        await self._put_back(dict.fromkeys(those_to(DepartureStep.PUT_BACK), KEPT if stays else CHANGED))
        left = await self._leave(those_to(DepartureStep.LEAVE))
        await self._finish(those_to(DepartureStep.FINISH) | left)

    async def _put_back(self, judgements: Mapping[str, Judgement]) -> None:
        """Give files their own names again, and follow them."""
        # First, for those that were about to leave: behind that stage a file that has grown is taken for a new one.
        known = {source: self._departures[source] for source in judgements}
        leaving = {source: each for source, each in known.items() if each.stage is DepartureStage.LEAVING}
        await self._record({source: replace(each, stage=DepartureStage.ASIDE) for source, each in leaving.items()})
        asked = {source: (self._departures[source],) for source in judgements}
        done, failed = await ask_file(call_each, put_back, asked)
        for source, path in done.items():
            judgement = judgements[source]
            # What cannot leave is put back again and again, and logged once as kept.
            if judgement.choice is not Choice.HINDERED:
                log.info("file is put back", source=source, path=source_name(path), reason=judgement.reason)
            self._cancel(source, judgement)
        self._hold({source: judge_error(error) for source, error in failed.items()})

    async def _leave(self, departures: Mapping[str, Departure]) -> dict[str, Departure]:
        """Move files to their targets, or delete them; return those that have left."""
        leaving = await self._with_targets(departures)
        await self._record(leaving)
        asked = {source: (each, self._sources.progress(source)) for source, each in leaving.items()}
        _, failed = await ask_file(call_each, leave, asked)
        # Where a target was taken at this moment, the next step finds another.
        hindered = {source: error for source, error in failed.items() if not isinstance(error, FileExistsError)}
        await self._put_back({source: judge_error(error) for source, error in hindered.items()})
        return {source: each for source, each in leaving.items() if source not in failed}

    async def _with_targets(self, departures: Mapping[str, Departure]) -> dict[str, Departure]:
        folder, targets = self._settings.delivered_folder, dict.fromkeys(departures, "")
        if folder is not None:
            paths = {source: path_of(each.path) for source, each in departures.items()}
            found = await ask_file(find_targets, folder, self._root, paths)
            targets = {source: source_name(path) for source, path in found.items()}
        return {
            source: replace(each, stage=DepartureStage.LEAVING, target=targets[source])
            for source, each in departures.items()
        }

    async def _finish(self, departures: Mapping[str, Departure]) -> None:
        """Record that files have left, and agree on it: their paths and inodes are free for other sources."""
        if not departures:
            return
        # Of those that a predecessor has recorded only the agreement is missing.
        left = {source: each for source, each in departures.items() if each.stage is not DepartureStage.GONE}
        await ask_file(make_names_durable, list(left.values()))
        await self._record({source: replace(each, stage=DepartureStage.GONE) for source, each in left.items()})
        for source, each in left.items():
            _log_gone(source, each)
        locations = self._scan.catalog.locations
        after = {source: SourceLocation(each.target or each.aside) for source, each in departures.items()}
        await self._scan.agree({source: (locations.of[source], new) for source, new in after.items()})
        # One that had moved by what another replica says is agreed on again at the next step.
        for source in [source for source, new in after.items() if locations.of[source] == new]:
            del self._departures[source], self._due[source]
            self._sources.release(source)

    async def _record(self, departures: Mapping[str, Departure]) -> None:
        for source, departure in departures.items():
            self._departures[source] = departure
            self._sources.record(source, departure)
        if departures:
            await self._commit()

    def _cancel(self, source: str, judgement: Judgement) -> None:
        """The file is followed as before."""
        del self._departures[source], self._due[source]
        self._sources.record(source, None)
        self._sources.stay(source)
        self._judged(source, judgement)

    def _hold(self, judgements: Mapping[str, Judgement]) -> None:
        """Look again later at files with which nothing can be done now."""
        for source, judgement in judgements.items():
            self._due[source] = time.monotonic() + _HOLD_S
            self._judged(source, judgement)


def _log_gone(source: str, departure: Departure) -> None:
    """Log that a file has left."""
    if departure.target:
        log.info("source moved", source=source, path=departure.path, to=departure.target)
    else:
        log.info("source deleted", source=source, path=departure.path)


def _arguments(departures: Mapping[str, Departure]) -> dict[str, tuple[Departure]]:
    return {source: (each,) for source, each in departures.items()}
