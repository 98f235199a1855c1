"""How a service stands: whether its loop turns, whether it is at work, and whether its brokers answer."""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct, field

from common.aiokafka_internals.open_connections import find_contacts
from common.counts import Counts
from common.health.silence import LOOK_INTERVAL_S, Silence
from common.kafka.partition_names import partition_names

# A healthy loop never goes so long without turning.
HUNG_S = 10.0
_DRAINING = "draining"


class Standing(Struct):
    """One service as it stands; `turned_at` is when its loop has last turned, by time.monotonic."""

    service: str
    counts: Counts
    is_stopping: Callable[[], bool]
    turned_at: float
    silence: Silence = field(default_factory=Silence)

    async def note_turns(self) -> None:
        """Note four times a second that the loop turns, and how the brokers answer; never return."""
        while True:
            self.turned_at = time.monotonic()
            self.silence.look(find_contacts())
            await asyncio.sleep(LOOK_INTERVAL_S)

    def why_not_live(self, now: float) -> str:
        """Why it does not live, at this time.monotonic; "" if it does."""
        still_s = now - self.turned_at
        return f"the event loop has not turned for {still_s:.0f} s" if still_s > HUNG_S else ""

    def why_not_ready(self, now: float) -> str:
        """Why it is not at work; "" if it is."""
        stopping = _DRAINING if self.is_stopping() else ""
        return self.why_not_live(now) or stopping or self.counts.not_ready or self.silence.reason

    @property
    def partitions(self) -> list[str]:
        """The partitions that its group has given it, by name."""
        return partition_names(self.counts.partitions)
