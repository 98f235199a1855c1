"""Setting up the log: structlog, readable on a terminal, elsewhere one JSON object a line."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from common.escaping import escaped
from common.log.client_warnings import keep_last_warning
from common.log.repeats import drop_repeats
from common.settings import ServiceSettings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def set_up_log(settings: ServiceSettings, service: str) -> None:
    """Log to standard error from here on; every line names the service."""
    level = _LEVELS[settings.log_level]
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    processors: list[Any] = [
        drop_repeats,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        processors += [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # aiokafka would log each attempt while a broker is away; the services themselves log each change of state.
    keep_last_warning(quiet=settings.log_level != "debug")
    library_level = logging.DEBUG if settings.log_level == "debug" else logging.CRITICAL
    logging.basicConfig(stream=sys.stderr, level=library_level, format="%(asctime)s %(name)s %(levelname)s %(message)s")


def _to_json(event: dict[str, Any], **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:
        return orjson.dumps(_escaped(event))


def _escaped(value: Any) -> Any:
    """The value with all text escaped that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {escaped(str(name)): _escaped(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(each) for each in value]
    return value if isinstance(value, int | float | None) else escaped(str(value))
