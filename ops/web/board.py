"""What everyone who looks at the page is shown: one look at the pipeline serves any number of people."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from msgspec.structs import asdict

from ops.status.source_figures import SourceFigures
from ops.web.history import History, Point

# Each stream sends something this often, so that a page notices when the server is gone, and the server when a page is.
BEAT_S = 5.0
_MS_PER_S = 1000


class Board:
    """One thread writes on it, and those of the streams read; `close` ends the streams.

    `sources` are those of the latest view; looks are `interval_s` apart, at least.
    """

    def __init__(self, interval_s: float = 2.0) -> None:
        self._interval_s = interval_s
        self._changed = threading.Condition()
        self._is_closed = False
        self._number = 0
        # By kind, the latest event and its number: a stream that is behind misses those before.
        self._latest: dict[str, tuple[int, bytes]] = {}
        self._history = History()
        self.sources: Sequence[SourceFigures] = ()

    def show_view(self, fields: Mapping[str, Any], point: Point, sources: Sequence[SourceFigures]) -> None:
        """Show figures: no trouble lasts beyond them."""
        shown = event("view", {**fields, "point": asdict(point)})
        with self._changed:
            self._history.add(point)
            self.sources = sources
            self._latest.pop("trouble", None)
            self._put("view", shown)

    def show_trouble(self, text: str, at_ms: int) -> None:
        """Show why there are no figures; the last ones stay, marked as old."""
        with self._changed:
            self._history.interrupt(at_ms / _MS_PER_S)
            self._put("trouble", event("trouble", {"text": text, "at_ms": at_ms}))

    def show_rejected(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show the latest rejected rows."""
        with self._changed:
            self._put("rejected", event("rejected", {"rows": rows}))

    def close(self) -> None:
        """End all streams."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def stream(self, beat_s: float = BEAT_S) -> Iterator[bytes]:
        """The events of one page, from what it needs at its opening, until the board is closed."""
        with self._changed:
            seen, events = self._number, self._since(0)
            history = event("history", self._history.columns())
        yield b"".join((b"retry: 2000\n\n", self._clock(), history, *events))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._number > seen, beat_s)  # noqa: B023
                if self._is_closed:
                    return
                seen, events = self._number, self._since(seen)
            # Each time: one of the two clocks may be set meanwhile, or stand still while its machine sleeps.
            yield b"".join((self._clock(), *events))

    def _clock(self) -> bytes:
        """By it a page knows how old its figures are, and whether that is too old."""
        return event("clock", {"now_ms": round(time.time() * _MS_PER_S), "interval_s": self._interval_s})

    def _put(self, kind: str, shown: bytes) -> None:
        self._number += 1
        self._latest[kind] = self._number, shown
        self._changed.notify_all()

    def _since(self, seen: int) -> list[bytes]:
        return [shown for number, shown in sorted(self._latest.values()) if number > seen]


def event(kind: str, fields: Any) -> bytes:
    """A server-sent event; JSON has no line break of its own, so it is one line."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(fields))
