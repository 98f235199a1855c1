"""The last warning of the Kafka clients: only their own log shows what they retry for ever."""

import logging

_LOGGER = "aiokafka"


class _LastWarning(logging.Handler):
    """Keeps the latest one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.record: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep this record unformatted: there may be thousands a second."""
        self.record = record


_last = _LastWarning()


def keep_last_warning(*, quiet: bool) -> None:
    """Keep the last warning from here on; with `quiet`, write nothing of the clients' log anywhere."""
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(_last)
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG)
    logger.propagate = not quiet


def last_warning() -> str:
    """The last warning since `forget_last_warning`, as one line without its traceback; "" when there is none."""
    return "" if _last.record is None else " ".join(_last.record.getMessage().split())


def forget_last_warning() -> None:
    """Forget the last warning."""
    _last.record = None
