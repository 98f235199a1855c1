"""Which offsets are searched for the newest rows, from a partition's end backwards, and which rows are kept. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from ops.tap.rows import Row

_FIRST_OFFSETS = 1_000
_GROWTH = 4
_MOST_OFFSETS = 200_000


class Window(Struct, frozen=True):
    """The offsets from `start` to before `end`."""

    start: int
    end: int


def first_window(beginning: int, end: int, rows: int) -> Window | None:
    """The last offsets of a partition, as many as may have so many rows; None if it is empty."""
    return Window(max(beginning, end - max(_FIRST_OFFSETS, 2 * rows)), end) if end > beginning else None


def window_before(window: Window, beginning: int) -> Window | None:
    """The offsets before a window, more than it has; None where there are none."""
    size = min(_GROWTH * (window.end - window.start), max(_MOST_OFFSETS, window.end - window.start))
    return Window(max(beginning, window.start - size), window.start) if window.start > beginning else None


def newest(rows: Iterable[Row], count: int) -> list[Row]:
    """The newest of these rows by the time at which they were written, at most so many, the oldest first."""
    return sorted(rows, key=_age_order)[-count:]


def _age_order(row: Row) -> tuple[int, str, int, int]:
    return row.place.latest_ms, row.place.topic, row.place.partition, row.kafka_offset


def is_searched(best: list[Row], count: int, oldest_ms: int | None) -> bool:
    """Whether a partition has no row before a window that could be among the newest.

    `oldest_ms` is the time of the window's first batch, None if it has none; `best` are the newest rows so far.
    """
    return len(best) == count and oldest_ms is not None and oldest_ms <= best[0].place.latest_ms
