"""The last warning of the Kafka clients: what they retry for ever, they tell their log alone."""

import logging

_LOGGER = "aiokafka"


class _LastWarning(logging.Handler):
    """Keeps one line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.line = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep this one; without its traceback, and as one line."""
        self.line = " ".join(record.getMessage().split())


_last = _LastWarning()


def keep_last_warning(*, quiet: bool) -> None:
    """Keep it from here on; `quiet`: nothing of the clients' log is written anywhere."""
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(_last)
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG)
    logger.propagate = not quiet


def last_warning() -> str:
    """The last one since it was forgotten, or nothing."""
    return _last.line


def forget_last_warning() -> None:
    """Begin anew."""
    _last.line = ""
