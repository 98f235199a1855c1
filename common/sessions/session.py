"""Sessions with a broker, one after the other with bounded back-off, for as long as the service lives."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import ConsumerStoppedError, IllegalOperation, KafkaError

from common.aiokafka_internals.connection_failures import forget_connection_failures
from common.aiokafka_internals.outages import client_failures_as_outages
from common.broker_errors.kinds import ErrorKind
from common.counts import Counts
from common.log.client_warnings import forget_last_warning
from common.sessions.diagnosis import diagnose
from common.sessions.patience import REFUSED_PAUSE_S, Patience
from common.sessions.readiness import Readiness
from common.settings import ServiceSettings
from common.waiting import Stopped, pause, unless_stopped

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
# After a session that lasted this long the pauses begin short again.
_GOOD_SESSION_S = 10.0


async def run_sessions(
    settings: ServiceSettings,
    session: Callable[[Readiness, asyncio.Event], Awaitable[None]],
    stop: asyncio.Event,
    counts: Counts | None = None,
) -> None:
    """Run `session(readiness, stop)` until it returns; begin again when Kafka, the network or the disk fails it.

    Raises ServiceError for what waiting does not mend: at once, or once it has lasted. Raises any other exception,
    which is a defect, or something that a person has to mend.
    """
    readiness, patience = Readiness(settings, counts), Patience(settings)
    pause_s = _FIRST_PAUSE_S
    while not stop.is_set():
        began = time.monotonic()
        forget_connection_failures()
        forget_last_warning()
        try:
            failure = await _failure_of(session(readiness, stop))
            if failure is None:
                return
            diagnosis = await unless_stopped(stop, diagnose(failure, settings))
        except Stopped:
            return
        if readiness.was_steady_since(began):
            # Whatever was refused before has been mended.
            patience = Patience(settings)
        patience.take(diagnosis, time.monotonic())
        readiness.set_not_ready(diagnosis.reason, diagnosis.cause)
        if time.monotonic() - began > _GOOD_SESSION_S:
            pause_s = _FIRST_PAUSE_S
        await pause(stop, pause_s if diagnosis.kind is ErrorKind.WAITS else REFUSED_PAUSE_S)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _failure_of(session: Awaitable[None]) -> Exception | None:
    """What a session failed with; None when it returned."""
    try:
        with client_failures_as_outages():
            await session
    except (KafkaError, ConsumerStoppedError, IllegalOperation, OSError) as error:
        return error
    return None
