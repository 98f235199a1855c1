"""Why a source cannot be read now: logged once, until it can be read again."""

import re

import structlog

log = structlog.get_logger()

# Sizes and positions differ from look to look: without them, a reason that only grew is not logged again.
_FIGURES = re.compile(r"[0-9]+")


class Trouble:
    """The trouble of one source; `reason` is empty if it has none."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._kind = ""
        self.reason = ""

    def report(self, reason: str, kind: str = "") -> None:
        """Note that the source cannot be read; log it unless the last reason was of the same `kind`."""
        kind = kind or _FIGURES.sub("", reason)
        if kind != self._kind:
            log.error("source cannot be read", source=self._source, reason=reason)
        self.reason, self._kind = reason, kind

    def clear(self) -> None:
        """Note that the source can be read; log it if it could not before."""
        if self.reason:
            log.info("source can be read again", source=self._source)
            self.reason = self._kind = ""
