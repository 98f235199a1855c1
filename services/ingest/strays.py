"""Files with hidden names that no record tells of, as a replica that was late may leave them: they are put back."""

import structlog

from services.ingest.delivered.names import digest_in, source_digest
from services.ingest.files.finding import path_of, source_name
from services.ingest.files.leaving import call_each, give_name
from services.ingest.files.reading import ask_file
from services.ingest.followed_sources import FollowedSources
from services.ingest.naming.locations import InputSnapshot, home_and_number

log = structlog.get_logger()


class Strays:
    """The strays of one partition's sources."""

    def __init__(self, prefix: str, sources: FollowedSources) -> None:
        self._prefix = prefix
        self._sources = sources
        self._seen: InputSnapshot | None = None
        self._by_digest: dict[str, str] = {}

    async def put_back(self) -> None:
        """Put back what the latest look has found."""
        seen = self._sources.seen
        if seen is None or seen is self._seen or not seen.aside:
            return
        self._seen = seen
        if len(self._by_digest) != len(self._sources.names):
            self._by_digest = {source_digest(self._prefix, source): source for source in self._sources.names}
        owners = {aside: self._by_digest.get(digest_in(path_of(aside).name), "") for aside in seen.aside}
        strays = {aside: source for aside, source in owners.items() if source and not self._is_expected(aside, source)}
        asked = {aside: (path_of(aside), path_of(self._path(source))) for aside, source in strays.items()}
        # One that cannot be put back is found again by the next look.
        done, _ = await ask_file(call_each, give_name, asked)
        for aside, path in done.items():
            log.warning("a file was left with a hidden name: it is put back", name=aside, path=source_name(path))

    def _is_expected(self, aside: str, source: str) -> bool:
        departure = self._sources.progress(source).departure
        return source in self._sources.departing and departure is not None and departure.aside == aside

    def _path(self, source: str) -> str:
        departure = self._sources.progress(source).departure
        return home_and_number(source)[0] if departure is None else departure.path
