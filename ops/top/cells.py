"""Rows of text in columns of fixed widths, for a terminal. Pure.

Every text is escaped here: a file's name must not move the cursor, and nothing in it is markup.
"""

from collections.abc import Sequence

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from common.escaping import printable

_GAP = "  "
_CUT = "…"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_EIGHT = 8
_BAR = Style(color="cyan")


class Bar(Struct, frozen=True):
    """A bar that fills this part of its column, from 0 to 1."""

    part: float


class Styled(Struct, frozen=True):
    """A text in a colour, as rich names it."""

    text: str
    colour: str


Cell = str | Bar | Styled


class Column(Struct, frozen=True):
    """A column. The one of width 0 takes what the others leave; `keeps_end` says which part of a long text is shown."""

    heading: str
    width: int = 0
    is_number: bool = False
    keeps_end: bool = False


def row_of(columns: Sequence[Column], cells: Sequence[Cell], width: int) -> list[Segment]:
    """One row, as wide as the columns are together, or as `width` with a column that takes the rest."""
    fixed = sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1)
    segments: list[Segment] = []
    for column, cell in zip(columns, cells, strict=True):
        if segments:
            segments.append(Segment(_GAP))
        segments.append(_segment(cell, column, column.width or max(0, width - fixed)))
    return segments


def headings_of(columns: Sequence[Column], width: int) -> str:
    """The row above the others."""
    return "".join(segment.text for segment in row_of(columns, [column.heading for column in columns], width))


def fitted(text: str, width: int, *, keeps_end: bool = False, is_right: bool = False) -> str:
    """The text, escaped, in exactly so many cells; what is cut off leaves an ellipsis."""
    shown = printable(text)
    if (cells := cell_len(shown)) > width:
        return _cut(shown, width, keeps_end=keeps_end)
    return " " * (width - cells) + shown if is_right else shown + " " * (width - cells)


def bar(part: float, width: int) -> str:
    """A bar in eighths of a cell. What is more than nothing is seen."""
    eighths = min(width * _EIGHT, round(part * width * _EIGHT))
    if part > 0 and width:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, _EIGHT)
    return (_FULL * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _segment(cell: Cell, column: Column, width: int) -> Segment:
    match cell:
        case Bar():
            return Segment(bar(cell.part, width), _BAR)
        case Styled():
            return Segment(_fitted_in(cell.text, column, width), Style(color=cell.colour))
        case _:
            return Segment(_fitted_in(cell, column, width))


def _fitted_in(text: str, column: Column, width: int) -> str:
    return fitted(text, width, keeps_end=column.keeps_end, is_right=column.is_number)


def _cut(shown: str, width: int, *, keeps_end: bool) -> str:
    if width <= 0:
        return ""
    if not keeps_end:
        return set_cell_size(shown, width - 1) + _CUT
    end = shown[len(shown) - width + 1 :]
    while cell_len(end) > width - 1:
        end = end[1:]
    # A wide sign at the cut may leave a cell.
    return (_CUT + end).ljust(width - cell_len(end) + len(end))
