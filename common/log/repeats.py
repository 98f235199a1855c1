"""Log lines that session after session repeats, while each fails like the one before: each is written once."""

from collections.abc import MutableMapping
from typing import Any

import structlog

# Their writers know themselves what is new: readiness, and the process's end.
_ALWAYS = frozenset({"ready", "not ready", "cannot go on", "crashed", "draining", "drained", "done"})
# The latest of these that is written must be true, or the next one would read as its opposite.
_ASSIGNED, _REVOKED = "partitions assigned", "partitions revoked"
# Two lines of one event that differ in one of these are different news; other fields are members' and producers' ids.
_DISTINGUISHING = ("topic", "partition", "partitions", "source", "path", "folder", "schema", "client", "error")
# Beyond this many, as with many sources, lines are let through rather than remembered.
_MOST_LINES = 10_000


class _Repeats:
    """What was written since the service was last at work."""

    def __init__(self) -> None:
        self.in_trouble = False
        self.is_at_work = False
        self.written: set[tuple[str, ...]] = set()
        # The latest line about which partitions there are.
        self.partitions: tuple[str, ...] = ()


_repeats = _Repeats()


def begin_trouble() -> None:
    """From here on, drop lines that were written before."""
    _repeats.in_trouble, _repeats.is_at_work = True, False


def end_trouble() -> None:
    """The service is at work: every line is news again."""
    _repeats.in_trouble, _repeats.is_at_work = False, True
    _repeats.written.clear()


def drop_repeats(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop a repeated line: a processor for structlog."""
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
