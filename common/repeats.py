"""Log lines that a session writes again and again, while each one fails like the one before: each is written once."""

from collections.abc import MutableMapping
from typing import Any

import structlog

# Written by what knows itself what is new: readiness, and the process's end.
_ALWAYS = frozenset({"ready", "not ready", "cannot go on", "crashed", "draining", "drained", "done"})
# Two lines with the same event that differ in one of these say something else; others are members' and producers' ids.
_TELLING = ("topic", "partition", "partitions", "source", "path", "folder", "schema", "client", "error")
# Lines of many sources are let through rather than remembered.
_MOST_LINES = 10_000


class _Repeats:
    """What was written since the service was last at work."""

    def __init__(self) -> None:
        self.in_trouble = False
        self.is_at_work = False
        self.written: set[tuple[str, ...]] = set()


_repeats = _Repeats()


def begin_trouble() -> None:
    """From here on lines are dropped that were written before."""
    _repeats.in_trouble, _repeats.is_at_work = True, False


def end_trouble() -> None:
    """At work: every line is news again."""
    _repeats.in_trouble, _repeats.is_at_work = False, True
    _repeats.written.clear()


def drop_repeats(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for structlog."""
    event = fields.get("event", "")
    if _repeats.is_at_work or event in _ALWAYS:
        return fields
    line = (event, *(str(fields.get(name, "")) for name in _TELLING))
    if line in _repeats.written:
        if _repeats.in_trouble:
            raise structlog.DropEvent
    elif len(_repeats.written) < _MOST_LINES:
        _repeats.written.add(line)
    return fields
