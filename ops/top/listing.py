"""A list that scrolls, of which only the rows on the screen are drawn, however many there are."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from ops.top.cells import fitted, headings_of, row_of
from ops.top.panel import Panel, chosen, title_of
from ops.view.view import View


class _Rows(ScrollView, can_focus=True):
    """The rows of a panel."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self._panel = panel
        self._items: Sequence[Any] = ()
        self._scale: Mapping[str, float] = {}

    def show_items(self, items: Sequence[Any], scale: Mapping[str, float]) -> None:
        """Take these items for those that were shown."""
        self._items, self._scale = items, scale
        self.virtual_size = Size(0, len(items))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The row at this line of the screen."""
        at, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        strip = Strip.blank(width)
        if at < len(self._items):
            cells = self._panel.cells_of(self._items[at], self._scale)
            strip = Strip(row_of(self._panel.columns, cells, width))
        return strip.adjust_cell_length(width).apply_style(self.rich_style)


class _Headings(Widget):
    """The headings above the rows."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(classes="headings")
        self._panel = panel

    def render(self) -> Text:
        """As wide as it is by then."""
        return Text(headings_of(self._panel.columns, self.content_size.width), no_wrap=True)


class Listing(Vertical):
    """A panel: its headings, and its rows below them, filtered and sorted."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(id=panel.name, classes="listing")
        self.panel = panel
        self._order = 0
        self._is_reversed = False
        self._rows = _Rows(panel)

    def compose(self) -> ComposeResult:
        """Headings over rows."""
        yield _Headings(self.panel)
        yield self._rows

    def show(self, view: View, wanted: str) -> None:
        """Show the items of a view that the filter lets through."""
        items = chosen(self.panel, view, wanted, self._order, is_reversed=self._is_reversed)
        self._rows.show_items(items, self.panel.scale_of(view))
        self.border_title = fitted(title := title_of(self.panel, view, len(items)), len(title))
        self.border_subtitle = f"by {self.sorted_by}"

    @property
    def sorted_by(self) -> str:
        """The order's name."""
        return self.panel.sorts[self._order].name + (", reversed" if self._is_reversed else "")

    def sort_next(self) -> None:
        """Take the next order."""
        self._order = (self._order + 1) % len(self.panel.sorts)
        self._is_reversed = False

    def reverse(self) -> None:
        """Turn the order round."""
        self._is_reversed = not self._is_reversed

    def take_focus(self) -> None:
        """Let keys scroll these rows."""
        self._rows.focus()

    @property
    def has_keys(self) -> bool:
        """Whether keys scroll these rows."""
        return self._rows.has_focus
