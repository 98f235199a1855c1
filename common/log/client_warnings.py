"""The last warning of the Kafka clients: what they retry for ever, they tell their log alone."""

import logging

_LOGGER = "aiokafka"


class _LastWarning(logging.Handler):
    """Keeps one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.record: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep this one; it is made a line of only when that is asked for: there may be thousands a second."""
        self.record = record


_last = _LastWarning()


def keep_last_warning(*, quiet: bool) -> None:
    """Keep it from here on; `quiet`: nothing of the clients' log is written anywhere."""
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(_last)
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG)
    logger.propagate = not quiet


def last_warning() -> str:
    """The last one since it was forgotten, as one line without its traceback; or nothing."""
    return "" if _last.record is None else " ".join(_last.record.getMessage().split())


def forget_last_warning() -> None:
    """Begin anew."""
    _last.record = None
