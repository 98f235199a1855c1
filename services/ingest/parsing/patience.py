"""How long a source whose dialect is to be detected waits for more of it."""

import math

from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.patterns import count_breaks

# After the first complete lines of a source, before its dialect is detected from those that there are.
_DECIDES_AFTER_S = 1.0


class DialectPatience:
    """How long a source has been waiting to show its dialect: `since` its first bytes."""

    __slots__ = ("_lines_since", "_reported", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        self._lines_since: float | None = None
        self._reported = False

    def hurries(self, data: bytes, options: ReadOptions, now: float) -> bool:
        """Whether it has waited long enough after its first complete lines."""
        if not data or not options.is_auto:
            return False
        self.since = now if self.since is None else self.since
        least = options.skip_lines + (2 if options.header == "first" else 1)
        if self._lines_since is None and count_breaks(data, 0, len(data)) >= least:
            self._lines_since = now
        return now >= self.over_at

    @property
    def has_lines(self) -> bool:
        """Whether it seems to have complete lines after its header."""
        return self._lines_since is not None

    @property
    def over_at(self) -> float:
        """When it has waited long enough; never without complete lines."""
        return math.inf if self._lines_since is None else self._lines_since + _DECIDES_AFTER_S

    def news(self, data: bytes, options: ReadOptions, now: float, *, at_end: bool) -> str:
        """Why it still waits, when that is to be logged; empty otherwise."""
        waits = bool(data) and options.is_auto and not self._reported and not (self.has_lines and now < self.over_at)
        if not waits or not (at_end or (self.since is not None and now - self.since >= _DECIDES_AFTER_S)):
            return ""
        self._reported = True
        return "it has no complete row after its header yet, and a header alone shows too little"
