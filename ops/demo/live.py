"""`nacre top`'s view of the demo's own pipeline, which ends with it."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from common.settings import ServiceSettings
from ops.demo.files import DemoError
from ops.demo.killing import Killer
from ops.demo.services import Services
from ops.status.look_options import LookOptions
from ops.status.observation import SINK
from ops.top.app import TopApp
from ops.top.panels import PANELS
from ops.top.screen import run_on_terminal
from ops.view.gathering import closes
from ops.view.view import Trouble, View

_LOOK_INTERVAL_S = 0.25
_CHECK_INTERVAL_S = 0.05
# How long the last figures are waited for, and are on the screen.
_LAST_LOOK_S = 3.0
_LAST_FIGURES_S = 1.0


class LiveView(TopApp):
    """Ends once all services have ended. `came` gets the signals that end it sooner; a key is one as well."""

    first_list = [panel.name for panel in PANELS].index("categories")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("k", "kill", "kill")]

    def __init__(
        self, where: str, services: Services, killer: Killer | None, came: list[int], deadline_s: float
    ) -> None:
        super().__init__(where)
        self._services = services
        self._killer = killer
        self._came = came
        self._deadline_s = time.monotonic() + deadline_s
        self._not_yet = "Kafka does not answer"
        self._ended_s: float | None = None
        self._closed_s: float | None = None
        self.failure: DemoError | None = None

    @property
    def last(self) -> View | None:
        """The last figures, None before the first."""
        return self._view

    @property
    def own_keys(self) -> str:
        """The key that kills, and how often each service was killed."""
        return "" if self._killer is None else f"k kill -9 ({self._killer.counts})"

    def on_mount(self) -> None:
        """Look after the services. The base's own handler runs as well, without being called."""
        self.set_interval(_CHECK_INTERVAL_S, self._check)

    def take(self, found: View | Trouble) -> None:
        """Show it; until the services have created the topics, there is nothing to show and nothing wrong."""
        if isinstance(found, Trouble) and self._view is None:
            self._not_yet = found.text
        else:
            super().take(found)

    def action_kill(self) -> None:
        """Kill the next service."""
        if self._killer is not None:
            self._killer.kill_next()

    async def action_quit(self) -> None:
        """End as Ctrl-C does."""
        self.end_by(signal.SIGINT)

    def end_by(self, number: int) -> None:
        """End, because this signal came."""
        self._came.append(number)
        super().end_by(number)

    def _check(self) -> None:
        try:
            is_done = self._is_done(time.monotonic())
        except DemoError as error:
            self.failure = error
            is_done = True
        if is_done:
            self.exit()

    def _is_done(self, now_s: float) -> bool:
        if self._view is None and now_s > self._deadline_s:
            raise DemoError(f"no figures: {self._not_yet}")
        if len(self._services.finished()) < len(self._services):
            if self._killer is not None and self._view is not None:
                done = sum(stage.rows or 0 for stage in self._view.figures.stages)
                self._killer.kill_when_due(now_s, done)
            return False
        self._ended_s = self._ended_s or now_s
        if self._closed_s is None and self._view is not None and is_closed(self._view):
            self._closed_s = now_s
        if self._closed_s is not None:
            return now_s >= self._closed_s + _LAST_FIGURES_S
        return now_s >= self._ended_s + _LAST_LOOK_S


def show_on_terminal(settings: ServiceSettings, output_dir: Path, view: LiveView) -> None:
    """Show it until the services have ended, or a signal comes. Raises DemoError where one fails."""
    code = run_on_terminal(settings, LookOptions(output_dir, _LOOK_INTERVAL_S), view)
    if view.failure is not None:
        raise view.failure
    if code:
        raise DemoError("the terminal view failed: see above, and use --plain")


def is_closed(view: View) -> bool:
    """Whether every row is safe, and a receipt says so."""
    return bool(view.balance and view.receipts) and all(map(closes, view.balance))


def stage_lines(view: View) -> Iterator[str]:
    """What each stage has done, once its view is gone from the screen."""
    for stage in view.figures.stages:
        rows = view.safe_rows if stage.name == SINK else stage.rows
        yield f"  {stage.name:7} {rows or 0:,} rows"
