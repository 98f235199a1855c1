"""The latest rejected rows, read as `nacre tap` reads them, when there are new ones."""

import time
from collections.abc import Sequence

from aiokafka.errors import KafkaError

from common.aiokafka_internals.outages import client_failures_as_outages
from common.errors import ServiceError
from common.settings import ServiceSettings
from common.waiting import within
from ops.status.observation import SINK
from ops.tap.origins import Stage
from ops.tap.reader import Reader, TapRequest
from ops.tap.rows import MOST_BYTES, Row
from ops.tap.search import find_newest
from ops.tap.selection import Selection
from ops.view.view import View

MOST_ROWS = 20
# While rows are rejected all the time, they are read so often.
_INTERVAL_S = 5.0
_DEADLINE_S = 10.0
_REQUEST = TapRequest((Stage.REJECTED,), Selection(), MOST_BYTES)


class LatestRejected:
    """Reads them again where the topic's end has moved, or another number of rows is rejected."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._seen: tuple[int, int] | None = None
        self._read_at = float("-inf")

    def forget(self) -> None:
        """Read them with the next view, whatever it says."""
        self._seen = None

    async def read(self, view: View) -> Sequence[Row] | None:
        """The newest rows, the newest first; None where nothing has changed, or nothing can be read now."""
        # Topics that were deleted and created again may end where the former ones did.
        seen = _end_of(view), sum(view.figures.rejected.values())
        if seen == self._seen or time.monotonic() - self._read_at < _INTERVAL_S:
            return None
        self._read_at = time.monotonic()
        try:
            with client_failures_as_outages():
                async with within(_DEADLINE_S, "no answer"):
                    reader = Reader(self._settings, _REQUEST)
                    rows = await find_newest(
                        self._settings, reader, await reader.begin(), MOST_ROWS, report=_say_nothing
                    )
        except (KafkaError, OSError, ServiceError):
            # The next look says what is wrong; the rows are read after it.
            return None
        self._seen = seen
        return rows[::-1]


def _end_of(view: View) -> int:
    """The end of the committed records in the topic of rejected rows."""
    return sum(
        each.end
        for stage in view.figures.stages
        if stage.name == SINK
        for each in stage.partitions
        if each.topic == Stage.REJECTED
    )


def _say_nothing(_text: str) -> None:
    """The page has no place for how far a search is."""
