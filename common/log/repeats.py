"""Lines that each failing session would log again: they are written once."""

from collections.abc import MutableMapping
from typing import Any

import structlog

# Never dropped: readiness and the end of the process, whose writers know themselves what is new.
_ALWAYS = frozenset({"ready", "not ready", "cannot go on", "crashed", "draining", "drained", "done"})
# The last of these lines in the log must always be true.
_ASSIGNED, _REVOKED = "partitions assigned", "partitions revoked"
# Two lines of one event are different news if they differ in one of these; other fields are members' and producers'
# ids.
_DISTINGUISHING = ("topic", "partition", "partitions", "source", "path", "folder", "schema", "client", "error")
# Beyond this many, as with many sources, lines are written again instead of remembered.
_MOST_LINES = 10_000


class _Repeats:
    """The lines written since the service was last at work."""

    def __init__(self) -> None:
        self.in_trouble = False
        self.is_at_work = False
        self.written: set[tuple[str, ...]] = set()
        # The last line about partitions.
        self.partitions: tuple[str, ...] = ()


_repeats = _Repeats()


def begin_trouble() -> None:
    """From here on, drop lines that were written before."""
    _repeats.in_trouble, _repeats.is_at_work = True, False


def end_trouble() -> None:
    """From here on, write every line: the service is at work."""
    _repeats.in_trouble, _repeats.is_at_work = False, True
    _repeats.written.clear()


def drop_repeats(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """As a processor of structlog, drop a repeated line."""
    if "library" in fields:
        # Libraries log thousands of long lines a second, at debug alone.
        return fields
    event = fields.get("event", "")
    line = (event, *(str(fields.get(name, "")) for name in _DISTINGUISHING))
    is_known = line == _repeats.partitions if event == _ASSIGNED else line in _repeats.written
    if _repeats.is_at_work or event in _ALWAYS or not (is_known and _repeats.in_trouble):
        return _write(line, fields)
    raise structlog.DropEvent


def _write(line: tuple[str, ...], fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if line[0] in {_ASSIGNED, _REVOKED}:
        _repeats.partitions = line
    if not _repeats.is_at_work and line[0] not in _ALWAYS and len(_repeats.written) < _MOST_LINES:
        _repeats.written.add(line)
    return fields
