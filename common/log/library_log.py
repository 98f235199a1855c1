"""The log of libraries as lines of the service's own log, where LOG_LEVEL=debug asks for it."""

import logging

import structlog

log = structlog.get_logger()


class LibraryLog(logging.Handler):
    """Passes each record on, at debug unless it is critical: a Kafka client shows whole requests, rows included."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit the text are the library's defect
            self.handleError(record)
            return
        write = log.critical if record.levelno >= logging.CRITICAL else log.debug
        write(text, library=record.name, its_level=record.levelname.lower(), exc_info=record.exc_info)
