"""Figures → where the marks of a plot stand, for an SVG image. Pure.

A plot is WIDTH by HEIGHT units; the largest value touches the top of its field.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from services.sink.tallies.latencies import bound_of, quantile

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 84, 16, 56, 34
_FIELD_WIDTH, _FIELD_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
_MOST_LABELS = 5
# More steps than this would not be told apart.
_MOST_STEPS = 400
_MS_PER_S, _MS_PER_MIN, _MS_PER_H, _MS_PER_DAY = 1_000, 60_000, 3_600_000, 86_400_000


class Tick(Struct, frozen=True):
    """A label, and where it stands on its axis."""

    at: float
    label: str

    @property
    def anchor(self) -> str:
        """SVG's text-anchor with which a label below the field, or above it, stays inside the plot."""
        if self.at < LEFT + _FIELD_WIDTH / 10:
            return "start"
        return "end" if self.at > LEFT + _FIELD_WIDTH * 9 / 10 else "middle"


class Bar(Struct, frozen=True):
    """A bar, and what it says."""

    x: float
    y: float
    width: float
    height: float
    label: str


class Plot(Struct, frozen=True):
    """Bars or a line (`x,y` by `x,y`), ticks on both axes, and lines that mark a place, with their labels."""

    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    bars: Sequence[Bar] = ()
    line: str = ""
    marks: Sequence[Tick] = ()


def plot_latencies(counts: Mapping[int, int]) -> Plot | None:
    """Rows by bucket of latency as bars, with the median and the 99th percentile; None if there are no rows."""
    rows = {bucket: count for bucket, count in counts.items() if count > 0}
    if not rows:
        return None
    buckets = range(min(rows), max(rows) + 1)
    width = _FIELD_WIDTH / len(buckets)
    most = max(rows.values())
    bars = []
    for number, bucket in enumerate(buckets):
        count = rows.get(bucket, 0)
        height = _FIELD_HEIGHT * count / most
        label = f"at most {shown_ms(bound_of(bucket))}: {count:,} rows"
        bars.append(Bar(LEFT + number * width, TOP + _FIELD_HEIGHT - height, width, height, label))
    every = -(-len(buckets) // _MOST_LABELS)
    x_ticks = [
        Tick(LEFT + (number + 1) * width, shown_ms(bound_of(bucket)))
        for number, bucket in enumerate(buckets)
        if number % every == every - 1
    ]
    bounds = {bound_of(bucket): LEFT + (number + 1) * width for number, bucket in enumerate(buckets)}
    found = (("p50", quantile(rows, 0.5)), ("p99", quantile(rows, 0.99)))
    marks = [Tick(bounds[ms], f"{name} {shown_ms(ms)}") for name, ms in found if ms is not None]
    return Plot(x_ticks, _y_ticks(most), bars, marks=marks)


def plot_safe_rows(times: Sequence[tuple[int, int]]) -> Plot | None:
    """Rows that were safe by each moment (ms since 1970), as steps; None if all became safe at once, or none has."""
    times = [(at_ms, rows) for at_ms, rows in sorted(times) if rows > 0]
    if not times or times[0][0] == times[-1][0]:
        return None
    first_ms, last_ms = times[0][0], times[-1][0]
    total = sum(rows for _, rows in times)
    points: list[tuple[float, int]] = []
    passed = 0
    for at_ms, rows in times:
        passed += rows
        step = round((at_ms - first_ms) / (last_ms - first_ms) * _MOST_STEPS)
        x = LEFT + _FIELD_WIDTH * step / _MOST_STEPS
        if points and points[-1][0] == x:
            points.pop()
        points.append((x, passed))
    corners: list[tuple[float, int]] = [(LEFT, 0)]
    for x, count in points:
        corners += [(x, corners[-1][1]), (x, count)]
    line = " ".join(f"{x:.1f},{TOP + _FIELD_HEIGHT * (1 - count / total):.1f}" for x, count in corners)
    return Plot(_time_ticks(first_ms, last_ms), _y_ticks(total), line=line)


def _y_ticks(most: int) -> list[Tick]:
    values = sorted({0, most // 2, most})
    return [Tick(TOP + _FIELD_HEIGHT * (1 - value / most), short(value)) for value in values]


def _time_ticks(first_ms: int, last_ms: int) -> list[Tick]:
    span = last_ms - first_ms
    steps = _MOST_LABELS - 2
    moments = [first_ms + span * number // steps for number in range(steps + 1)]
    return [Tick(LEFT + _FIELD_WIDTH * (at - first_ms) / span, _clock(at, span)) for at in moments]


def _clock(at_ms: int, span_ms: int) -> str:
    """The time (UTC), as exactly as the span needs."""
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    if span_ms < 10 * _MS_PER_S:
        return text[14:23]
    if span_ms < _MS_PER_DAY:
        return text[11:19] if span_ms < _MS_PER_H else text[11:16]
    return text[5:16].replace("T", " ") if span_ms < 30 * _MS_PER_DAY else text[:10]


def short(count: int) -> str:
    """A count for an axis: 950, 1.2 k, 3 M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count}"


def shown_ms(ms: int) -> str:
    """A latency as people read it."""
    if ms < _MS_PER_S:
        return f"{ms} ms"
    if ms < _MS_PER_MIN:
        return f"{ms / _MS_PER_S:.1f} s"
    if ms < _MS_PER_H:
        return f"{ms / _MS_PER_MIN:.1f} min"
    return f"{ms / _MS_PER_H:.1f} h" if ms < _MS_PER_DAY else f"{ms / _MS_PER_DAY:.1f} days"
