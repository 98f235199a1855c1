"""The terminal view: a head, six lists, a filter. What it shows comes from outside, by `take`."""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input, Static

from common.escaping import printable
from ops.top.cells import fitted
from ops.top.head import age, head_of
from ops.top.listing import Listing
from ops.top.panels import PANELS
from ops.top.style import CSS
from ops.view.view import Trouble, View

_CLOCK_S = 1.0
# Figures are old after so long, or three times as long as it takes from one look to the next.
_OLD_S = 20.0
_MS_PER_S = 1000
_WAITING = "looking for the first figures"


class TopApp(App[str]):
    """`where` names the pipeline; looks are `interval_s` apart; `clock_ms` gives the time, in ms since 1970."""

    CSS = CSS
    TITLE = "nacre top"
    first_list = 0
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (170, "-wide")]  # noqa: RUF012 - textual's own
    VERTICAL_BREAKPOINTS = [(0, "-low"), (40, "-tall")]  # noqa: RUF012 - textual's own
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", priority=True),
        Binding("slash", "filter", "filter"),
        Binding("escape", "unfilter", "unfilter", priority=True),
        Binding("s", "sort", "sort"),
        Binding("r", "reverse", "reverse"),
        *(Binding(str(number), f"panel({number - 1})", panel.name) for number, panel in enumerate(PANELS, start=1)),
        Binding("right", "next_panel(1)", "next"),
        Binding("left", "next_panel(-1)", "previous"),
    ]

    def __init__(
        self,
        where: str,
        interval_s: float = 1.0,
        clock_ms: Callable[[], int] = lambda: round(time.time() * 1000),
    ) -> None:
        super().__init__()
        self.theme = "ansi-dark" if "ansi-dark" in self.available_themes else self.theme
        self._where = where
        self._clock_ms = clock_ms
        self._old_s = max(_OLD_S, 3 * interval_s)
        self._gap_s = 0.0
        self._view: View | None = None
        self._trouble: Trouble | None = None
        self._chosen = 0
        self._begin: Callable[[], object] = lambda: None
        self._listings = [Listing(panel) for panel in PANELS]
        self._banner = Static(id="banner", markup=False)
        self._head = Static(id="head", markup=False)
        self._tabs = Static(id="tabs", markup=False)
        self._foot = Static(id="foot", markup=False)
        self._input = Input(placeholder="filter", id="filter")

    def when_ready(self, begin: Callable[[], object]) -> None:
        """Call this once there is a screen."""
        self._begin = begin

    def compose(self) -> ComposeResult:
        """The banner of trouble on top, the filter and the keys at the bottom."""
        yield self._banner
        yield self._head
        yield self._tabs
        with Container(id="panels"):
            yield from self._listings
        yield self._input
        yield self._foot

    def on_mount(self) -> None:
        """Begin with the first list."""
        self._choose(self.first_list)
        self._redraw()
        self.set_interval(_CLOCK_S, self._tick)
        self._begin()

    def on_resize(self, _: events.Resize) -> None:
        """Draw what the new size holds."""
        self.call_after_refresh(self._redraw)

    def take(self, found: View | Trouble) -> None:
        """Show what a look has found; with trouble, the last view stays and is marked as old."""
        if isinstance(found, Trouble):
            if self._trouble is None or self._trouble.text != found.text:
                self._trouble = found
        else:
            at_ms = found.figures.at_ms
            self._gap_s = 0.0 if self._view is None else (at_ms - self._view.figures.at_ms) / _MS_PER_S
            self._view, self._trouble = found, None
        self._redraw()

    async def show(self, found: View | Trouble) -> None:
        """Take it, and return once it is on the screen."""
        self.take(found)
        drawn = asyncio.Event()
        self.call_after_refresh(drawn.set)
        await drawn.wait()

    def action_filter(self) -> None:
        """Ask for a text."""
        self._input.display = True
        self._input.focus()

    def action_unfilter(self) -> None:
        """Show all again."""
        self._input.value = ""
        self._close_filter()

    def on_input_changed(self, _: Input.Changed) -> None:
        """Filter as one types."""
        self._redraw()

    def on_input_submitted(self, _: Input.Submitted) -> None:
        """Keep the filter, and let keys scroll again."""
        self._close_filter()

    def action_sort(self) -> None:
        """Take the next order for the list that has the keys."""
        self._active.sort_next()
        self._redraw()

    def action_reverse(self) -> None:
        """Turn its order round."""
        self._active.reverse()
        self._redraw()

    def action_panel(self, number: int) -> None:
        """Give a list the keys, and the screen where it holds one alone."""
        self._choose(number)
        self._redraw()

    def action_next_panel(self, by: int) -> None:
        """The list beside."""
        self.action_panel((self._chosen + by) % len(self._listings))

    async def action_quit(self) -> None:
        """End at once."""
        self.exit()

    def end_by(self, _: int) -> None:
        """End, because a signal with this number came."""
        self.exit()

    @property
    def own_keys(self) -> str:
        """What comes before the keys at the bottom."""
        return ""

    @property
    def _active(self) -> Listing:
        return next((each for each in self._listings if each.has_keys), self._listings[self._chosen])

    def _choose(self, number: int) -> None:
        self._chosen = number
        for at, listing in enumerate(self._listings):
            listing.set_class(at == number, "chosen")
        self._listings[number].take_focus()

    def _close_filter(self) -> None:
        self._input.display = bool(self._input.value)
        self._listings[self._chosen].take_focus()
        self._redraw()

    def _redraw(self) -> None:
        self._show_banner()
        width = self._head.content_size.width or self.size.width
        if self._view is not None:
            self._head.update(head_of(self._view, self._where, width, is_old=bool(self._why_old())))
            for listing in self._listings:
                listing.show(self._view, self._input.value)
        elif self._trouble is None:
            self._head.update(Text(fitted(f"{self._where}: {_WAITING}", width)))
        self._tabs.update(self._tab_line(width))
        self._foot.update(self._foot_line(width))

    def _tick(self) -> None:
        """Update the age of the figures while none come, and redraw the head once they are old."""
        if self.screen_stack and self.screen.has_class("old") != (self._view is not None and bool(self._why_old())):
            self._redraw()
        else:
            self._show_banner()

    def _show_banner(self) -> None:
        text = self._why_old()
        if not text and not self._banner.display:
            return
        if not self.screen_stack:
            # It is ending, and the clock has ticked once more.
            return
        self._banner.display = bool(text)
        self.screen.set_class(bool(text) and self._view is not None, "old")
        self._banner.update(Text(printable(text)))

    def _why_old(self) -> str:
        """Why what is shown is old, and how old it is; "" if it is not."""
        if self._view is None:
            return "" if self._trouble is None else self._trouble.text
        old_s = (self._clock_ms() - self._view.figures.at_ms) / _MS_PER_S
        if self._trouble is None and old_s <= max(self._old_s, 3 * self._gap_s):
            return ""
        why = "no new figures have come" if self._trouble is None else self._trouble.text
        return f"{why}; what is below is {age(max(1.0, old_s))} old"

    def _tab_line(self, width: int) -> Text:
        line = Text(no_wrap=True)
        for number, listing in enumerate(self._listings):
            style = "reverse" if number == self._chosen else ""
            line.append(f" {number + 1} {listing.panel.name} ", style)
        line.truncate(width)
        return line

    def _foot_line(self, width: int) -> Text:
        keys = f"q quit  / filter  s sort ({self._active.sorted_by})  r reverse  1-6 list  ↑↓ scroll"
        return Text(fitted(f"{self.own_keys}  {keys}" if self.own_keys else keys, width))
