"""Setting up the log: structlog, readable on a terminal, elsewhere one JSON object a line."""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import orjson
import structlog

from common.escaping import escaped, printable
from common.log.client_warnings import keep_last_warning
from common.log.library_log import LibraryLog
from common.log.repeats import drop_repeats
from common.settings import ServiceSettings

_Fields = MutableMapping[str, Any]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def set_up_log(settings: ServiceSettings, service: str, replica: str) -> None:
    """Log to standard error from here on; every line names the service and the replica, also those of other threads."""
    level = _LEVELS[settings.log_level]
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    processors: list[Any] = [
        # This adds the partition of the task that logs. It comes first: drop_repeats tells lines apart by partition.
        structlog.contextvars.merge_contextvars,
        drop_repeats,
        _name_process(service, replica),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        processors += [_make_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
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
    # aiokafka would log each attempt while a broker is away; the services themselves log each change of state.
    keep_last_warning(quiet=settings.log_level != "debug")
    library_level = logging.DEBUG if settings.log_level == "debug" else logging.CRITICAL
    logging.basicConfig(level=library_level, handlers=[LibraryLog()])


def _name_process(service: str, replica: str) -> Callable[[object, str, _Fields], _Fields]:
    """As a processor of structlog, name the process. Context variables would be missing in threads and callbacks."""

    def name(_logger: object, _method: str, fields: _Fields) -> _Fields:
        fields["service"], fields["replica"] = service, replica
        return fields

    return name


def _make_printable(_logger: object, _method: str, fields: _Fields) -> _Fields:
    """As a processor of structlog, escape what a terminal would obey: a file's name may hold it."""
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = printable(value)
    return fields


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
