"""Whether a service is at work: one log line for each change of state, and of the cause."""

import asyncio
import math
import re
from collections.abc import Sequence
from time import monotonic

import structlog

from common.counts import Counts
from common.log.repeats import begin_trouble, end_trouble
from common.sessions.diagnosis import Diagnosis, diagnose
from common.settings import ServiceSettings

log = structlog.get_logger()

# A cause that returns within this time, after others, is not logged again: a broker that goes away causes several in
# turn.
_LOGGED_AGAIN_S = 60.0
# A service that has failed this often, each time soon after it was ready, is reported as ready only once it has been so
# for a while.
_SHORT_S = 20.0
_MOST_SHORT = 5
_STEADY_S = 10.0
# The parts that vary between two messages of the same cause.
_VARYING = re.compile(r"0x[0-9a-f]+|\b\d+\b")


class Readiness:
    """`ready` once every partition of this replica is taken up; `not ready` from the first failure on.

    `counts` is what this replica counts of its work; it always has the present reason.
    """

    def __init__(self, settings: ServiceSettings, counts: Counts | None = None) -> None:
        self._settings = settings
        self.counts = Counts() if counts is None else counts
        self._logged_at: dict[str, float] = {}
        self._ready_at: float | None = None
        self._short_times = 0
        self._steady_until = -math.inf
        self._waiting: asyncio.TimerHandle | None = None
        self.is_ready = False

    def set_ready(self, partitions: Sequence[str]) -> None:
        """Note that this replica is at work, on these partitions."""
        if self.is_ready or self._waiting is not None:
            return
        self._ready_at = monotonic()
        if self._short_times < _MOST_SHORT:
            self._report_ready(partitions)
        else:
            self._waiting = asyncio.get_running_loop().call_later(_STEADY_S, self._report_ready, partitions)

    def was_steady_since(self, moment: float) -> bool:
        """Whether it was at work for 20 s at some time since that moment (of time.monotonic)."""
        now = monotonic()
        return self._steady_until >= moment or (self._ready_at is not None and now - self._ready_at >= _SHORT_S)

    async def report(self, error: BaseException) -> Diagnosis:
        """Note that this replica is not at work: find the error's cause, log it if it is new, and return it."""
        diagnosis = await diagnose(error, self._settings)
        self.set_not_ready(diagnosis.reason, diagnosis.cause)
        return diagnosis

    def set_not_ready(self, reason: str, cause: str = "") -> None:
        """Note that this replica is not at work; log the reason once while it, or the cause if one is given, stays."""
        now = monotonic()
        begin_trouble()
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._ready_at is not None:
            if now - self._ready_at < _SHORT_S:
                self._short_times += 1
            else:
                self._short_times, self._steady_until = 0, now
            self._ready_at = None
        kind = cause or _VARYING.sub("", reason)
        if self.is_ready or now - self._logged_at.get(kind, -_LOGGED_AGAIN_S) >= _LOGGED_AGAIN_S:
            log.warning("not ready", reason=reason)
        # Also when it is not logged: a cause that lasts is not logged again.
        self._logged_at[kind] = now
        self.is_ready = False
        self.counts.not_ready = reason

    def _report_ready(self, partitions: Sequence[str]) -> None:
        self._waiting = None
        self.is_ready = True
        self.counts.not_ready = ""
        self._logged_at.clear()
        end_trouble()
        log.info("ready", partitions=partitions)
