"""What the plots show: the figures of the last minutes, of which a page that is opened now has missed most. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import fields

# Half an hour, where a look is taken every two seconds.
MOST_POINTS = 900


class Point(Struct, frozen=True):
    """The figures at a moment, in seconds since 1970; None where one is not known.

    `ingest`, `split` and `sink` are rows a second, the lags are rows, `unsafe_s` is the oldest unsafe row's age.
    """

    at_s: float
    ingest: float | None = None
    split: float | None = None
    sink: float | None = None
    split_lag: int | None = None
    sink_lag: int | None = None
    unsafe_s: float | None = None


class History:
    """The latest points."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._points: deque[Point] = deque(maxlen=most)

    def add(self, point: Point) -> None:
        """Add the latest. A clock that is set back leaves points in the future, which go."""
        while self._points and self._points[-1].at_s >= point.at_s:
            self._points.pop()
        self._points.append(point)

    def interrupt(self, at_s: float) -> None:
        """Figures are missing from here on: a line must not be drawn across. Asked again, it says no more."""
        if self._points and self._points[-1] != Point(self._points[-1].at_s):
            self.add(Point(at_s))

    def columns(self) -> Mapping[str, Sequence[float | None]]:
        """By field, the values of all points."""
        return {each.name: [getattr(point, each.name) for point in self._points] for each in fields(Point)}
