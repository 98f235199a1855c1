"""Whether a service is at work, told by one log line for each change of state."""

import structlog
from aiokafka.errors import KafkaError

log = structlog.get_logger()


class StandingBy(Exception):  # noqa: N818 - a state, not an error
    """A replica is well and has to wait for others; the message says for what."""


class Readiness:
    """`ready` once every partition of this replica is taken up; `not ready` from the first failure on."""

    def __init__(self) -> None:
        self._trouble: object = None
        self.is_ready = False

    def set_ready(self, partitions: int) -> None:
        """At work on so many partitions; none is as good, for a replica that stands by."""
        if not self.is_ready:
            log.info("ready", partitions=partitions)
        self.is_ready, self._trouble = True, None

    def set_not_ready(self, error: BaseException) -> None:
        """Not at work, because of this; told once for as long as the kind of trouble stays the same."""
        trouble = _kind(error)
        if self.is_ready or trouble != self._trouble:
            log.warning("not ready", reason=f"{type(error).__name__}: {error}".strip(": "))
        self.is_ready, self._trouble = False, trouble


def _kind(error: BaseException) -> object:
    if isinstance(error, StandingBy):
        return str(error)
    # A broker that goes away shows itself in many ways, one after the other.
    if isinstance(error, (KafkaError, TimeoutError, ConnectionError)) or not isinstance(error, OSError):
        return KafkaError
    return error.errno or str(error)
