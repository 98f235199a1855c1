"""What a list is: where its items come from, what is shown of each, its orders, and its title. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from common.escaping import printable
from ops.top.cells import Cell, Column
from ops.view.view import View


class Sort(Struct, frozen=True):
    """An order. `key` is None for the order in which the items come."""

    name: str
    key: Callable[[Any], Any] | None = None


class Panel(Struct, frozen=True):
    """A list: how its items come from a view, what is shown of each, and in which orders.

    `name_of` is what the filter looks in. `cells_of` gets what `scale_of` makes of the view.
    """

    name: str
    columns: tuple[Column, ...]
    items_of: Callable[[View], Sequence[Any]]
    name_of: Callable[[Any], str]
    cells_of: Callable[[Any, Mapping[str, float]], Sequence[Cell]]
    sorts: tuple[Sort, ...]
    scale_of: Callable[[View], Mapping[str, float]] = lambda _: {}
    count_of: Callable[[View], int | None] = lambda _: None
    # Where only some are listed, which.
    listed: str = "first"
    # What the items would count if it were known; "" for nothing.
    left_out_of: Callable[[View], str] = lambda _: ""


def chosen(panel: Panel, view: View, wanted: str, order: int, *, is_reversed: bool = False) -> Sequence[Any]:
    """The items whose names have the wanted text in them, in any case, in the order with this number."""
    items: Sequence[Any] = panel.items_of(view)
    if wanted:
        text = wanted.casefold()
        items = [each for each in items if text in printable(panel.name_of(each)).casefold()]
    if (key := panel.sorts[order].key) is not None:
        items = sorted(items, key=key)
    return items[::-1] if is_reversed else items


def title_of(panel: Panel, view: View, shown: int) -> str:
    """The panel's name, how many of how many items are shown, and what they leave out."""
    left_out = panel.left_out_of(view)
    return f"{panel.name} {_counted(panel, view, shown)}{left_out and f', without {left_out}'}"


def _counted(panel: Panel, view: View, shown: int) -> str:
    """How many of how many: a filter sees no more than are listed."""
    listed = len(panel.items_of(view))
    count = panel.count_of(view)
    total = listed if count is None else count
    if shown == total:
        return f"{total:,}"
    if listed == total:
        return f"{shown:,} of {total:,}"
    which = f"the {panel.listed} {listed:,}"
    return f"{which if shown == listed else f'{shown:,} of {which}'} ({total:,} in all)"
