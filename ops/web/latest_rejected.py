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
    """Reads them again where the topic's end has moved."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._end = -1
        self._read_at = float("-inf")

    async def read(self, view: View) -> Sequence[Row] | None:
        """The newest rows, the newest first; None where nothing has changed, or nothing can be read now."""
        end = _end_of(view)
        if end == self._end or time.monotonic() - self._read_at < _INTERVAL_S:
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
        self._end = end
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
