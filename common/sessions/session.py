"""Sessions with a broker, one after the other with bounded back-off, for as long as the service lives."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import ConsumerStoppedError, IllegalOperation, KafkaError
from msgspec import Struct

from common.aiokafka_internals.connection_failures import forget_connection_failures
from common.aiokafka_internals.outages import client_failures_as_outages
from common.broker_errors.kinds import ErrorKind
from common.counts import Counts
from common.errors import ConfigurationError, ServiceError
from common.log.client_warnings import forget_last_warning
from common.sessions.diagnosis import Diagnosis, diagnose
from common.sessions.readiness import Readiness
from common.settings import ServiceSettings
from common.waiting import Stopped, pause, unless_stopped

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
# After a session that lasted this long the pauses begin short again.
_GOOD_SESSION_S = 10.0
# The least tries, and the least time, before a refusal ends the service. The time is longer where the password is in a
# file, which another program may be about to write. The tries are few: a server may lock out a user who fails often.
_LEAST_TRIES = 5
_PATIENCE_S = 20.0
_PATIENCE_WITH_FILE_S = 90.0
_REFUSED_PAUSE_S = 4.0


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
    readiness, patience = Readiness(settings, counts), _Patience(settings)
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
            patience = _Patience(settings)
        patience.take(diagnosis)
        readiness.set_not_ready(diagnosis.reason, diagnosis.cause)
        if time.monotonic() - began > _GOOD_SESSION_S:
            pause_s = _FIRST_PAUSE_S
        await pause(stop, pause_s if diagnosis.kind is ErrorKind.WAITS else _REFUSED_PAUSE_S)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _failure_of(session: Awaitable[None]) -> Exception | None:
    """What a session failed with; None when it returned."""
    try:
        with client_failures_as_outages():
            await session
    except (KafkaError, ConsumerStoppedError, IllegalOperation, OSError) as error:
        return error
    return None


class _Patience(Struct):
    """Counts refusals in a row, and how long they last."""

    settings: ServiceSettings
    tries: int = 0
    first_at: float = 0.0

    def take(self, diagnosis: Diagnosis) -> None:
        """Go on, or raise the ServiceError that ends the service."""
        if diagnosis.kind is ErrorKind.REFUSED:
            raise ConfigurationError(diagnosis.reason)
        if diagnosis.kind is ErrorKind.WAITS:
            self.tries = 0
            return
        self.tries += 1
        if self.tries == 1:
            self.first_at = time.monotonic()
        lasted_s = time.monotonic() - self.first_at
        if self.tries < _LEAST_TRIES or lasted_s < self._patience_s:
            return
        reason = f"{diagnosis.reason} (tried {self.tries} times in {lasted_s:.0f} s)"
        if diagnosis.kind is ErrorKind.BROKEN_IF_IT_LASTS:
            raise ServiceError(reason)
        raise ConfigurationError(reason)

    @property
    def _patience_s(self) -> float:
        has_file = self.settings.kafka_sasl_password_file is not None and self.settings.kafka_sasl_password is None
        return _PATIENCE_WITH_FILE_S if has_file else _PATIENCE_S
