"""Looking again and again, whatever becomes of the broker: the one loop behind everything that watches."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

from aiokafka.errors import KafkaError
from msgspec import Struct

from common.aiokafka_internals.connection_failures import forget_connection_failures
from common.aiokafka_internals.outages import client_failures_as_outages
from common.broker_errors.kinds import ErrorKind
from common.log.client_warnings import forget_last_warning
from common.sessions.diagnosis import diagnose
from common.sessions.patience import REFUSED_PAUSE_S, Patience
from common.settings import ServiceSettings
from common.waiting import within
from ops.status.figures import Figures, figures, recent
from ops.status.observation import Observation
from ops.status.observing import NotBegunError, Observer

# The first look reads compacted topics from their beginning.
FIRST_DEADLINE_S = 60.0
_DEADLINE_S = 10.0
# After a look, rest for this many times the processor time that it took: looking takes at most 5 % of a core.
_REST = 19


class Trouble(Struct, frozen=True):
    """Why there are no figures since `at_ms` (ms since 1970): the last ones are old."""

    text: str
    at_ms: int


class Look(Struct, frozen=True):
    """A look, and its figures beside the looks before."""

    figures: Figures
    observation: Observation


def pause_s(interval_s: float, used_s: float) -> float:
    """How long to wait for the next look, after one that took so much time of a core."""
    return max(interval_s, _REST * used_s)


async def looks(
    settings: ServiceSettings, observer: Observer, interval_s: float
) -> AsyncGenerator[Look | Trouble, None]:
    """Yield looks, or why there are none, for ever; use it with `aclosing`.

    Raises ServiceError for what waiting does not mend. What is done with a look before the next is asked for counts as
    its cost.
    """
    patience = Patience(settings)
    while True:
        forget_connection_failures()
        forget_last_warning()
        next_s = interval_s
        try:
            with client_failures_as_outages():
                async with aclosing(_session(observer, patience, interval_s)) as session:
                    async for look in session:
                        yield look
        except NotBegunError as error:
            trouble = str(error)
        except (KafkaError, OSError) as error:
            diagnosis = await diagnose(error, settings)
            patience.take(diagnosis, time.monotonic())
            trouble = f"no figures: {diagnosis.reason}"
            if diagnosis.kind is not ErrorKind.WAITS:
                next_s = max(interval_s, REFUSED_PAUSE_S)
        yield Trouble(trouble, round(time.time() * 1000))
        await asyncio.sleep(next_s)


async def _session(observer: Observer, patience: Patience, interval_s: float) -> AsyncGenerator[Look, None]:
    """Yield looks until one fails."""
    async with AsyncExitStack() as opened:
        async with within(_DEADLINE_S, "no answer"):
            await opened.enter_async_context(observer.connected())
        async with within(FIRST_DEADLINE_S, "no answer"):
            # It reads what is there, and takes longer than those that are compared.
            await observer.look()
        earlier: Sequence[Observation] = ()
        while True:
            began_s = time.process_time()
            async with within(_DEADLINE_S, "no answer"):
                now = await observer.look()
            patience.tries = 0
            kept = recent(earlier, now.at_s)
            yield Look(figures(now, kept[0] if kept else None), now)
            earlier = [*kept, now]
            await asyncio.sleep(pause_s(interval_s, time.process_time() - began_s))
