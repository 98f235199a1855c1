"""How the terminal view ends: nothing that goes wrong beside it goes by without a word."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

from common.settings import ServiceSettings
from common.settings_reader import make_settings
from ops.status.look_options import LookOptions
from ops.top.app import TopApp
from ops.top.screen import run_on_terminal
from ops.view.view import Trouble, View
from tests.harness.views import view


class Headless(TopApp):
    """Without a terminal."""

    async def run_async(self, **_: Any) -> str | None:
        """Run as tests do."""
        return await super().run_async(headless=True)


class Cancelled(Headless):
    """As if it ended while it draws a view."""

    def call_from_thread(self, *_: Any, **__: Any) -> Any:
        """End, and draw nothing."""
        self.call_later(self.exit)
        raise CancelledError


class Broken(Headless):
    """It cannot draw what it gets."""

    def take(self, found: View | Trouble) -> None:
        """Fail in the thread of the view."""
        self.call_later(self._fail, found)

    def _fail(self, _: View | Trouble) -> None:
        raise ZeroDivisionError


def looking(monkeypatch: pytest.MonkeyPatch, look: Callable[[], View]) -> None:
    async def views(*_: object) -> Any:
        yield look()

    monkeypatch.setattr("ops.top.feed.views", views)


def run(app: TopApp, tmp_path: Any) -> int:
    return run_on_terminal(make_settings(ServiceSettings, {}), LookOptions(tmp_path), app)


def test_whatever_ends_the_looking_ends_the_view_and_is_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    def fail() -> View:
        raise ValueError("a defect")

    looking(monkeypatch, fail)
    with pytest.raises(ValueError, match="a defect"):
        run(Headless("here"), tmp_path)


def test_a_view_that_ends_while_it_draws_has_not_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    looking(monkeypatch, view)
    assert run(Cancelled("here"), tmp_path) == 0


def test_a_view_that_fails_says_so_by_its_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    looking(monkeypatch, view)
    assert run(Broken("here"), tmp_path) == 1
