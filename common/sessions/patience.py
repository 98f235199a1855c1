"""For how long refusals are borne, before waiting is given up."""

from msgspec import Struct

from common.broker_errors.kinds import ErrorKind
from common.errors import ConfigurationError, ServiceError
from common.sessions.diagnosis import Diagnosis
from common.settings import ServiceSettings

REFUSED_PAUSE_S = 4.0
# The least tries, and the least time, before a refusal ends the process. The time is longer where the password is in a
# file, which another program may be about to write. The tries are few: a server may lock out a user who fails often.
_LEAST_TRIES = 5
_PATIENCE_S = 20.0
_PATIENCE_WITH_FILE_S = 90.0


class Patience(Struct):
    """Counts refusals in a row, and how long they last."""

    settings: ServiceSettings
    tries: int = 0
    first_at_s: float = 0.0

    def take(self, diagnosis: Diagnosis, at_s: float) -> None:
        """Go on, or raise the ServiceError that ends the process. `at_s` (time.monotonic): when it failed."""
        if diagnosis.kind is ErrorKind.REFUSED:
            raise ConfigurationError(diagnosis.reason)
        if diagnosis.kind is ErrorKind.WAITS:
            self.tries = 0
            return
        self.tries += 1
        if self.tries == 1:
            self.first_at_s = at_s
        lasted_s = at_s - self.first_at_s
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
