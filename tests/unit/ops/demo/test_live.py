"""The demo's view: when it ends, and with what."""

import signal

import pytest
from msgspec.structs import replace

from ops.demo.files import DemoError
from ops.demo.killing import Killer
from ops.demo.live import LiveView, is_closed, stage_lines
from ops.view.view import SplitBalance, Trouble, View
from tests.harness.screens import text_of
from tests.harness.views import view
from tests.unit.ops.demo.test_killing import NAMES, Three

SIZE = (100, 40)
NOT_BEGUN = Trouble("nothing is begun", 0)


def closed() -> View:
    found = view()
    return replace(found, balance=tuple(replace(each, missing=0) for each in found.balance))


async def test_it_ends_by_itself_once_all_services_have_ended_and_their_figures_were_seen() -> None:
    services = Three()
    came: list[int] = []
    app = LiveView("demo", services, None, came, deadline_s=60)
    async with app.run_test(size=SIZE) as pilot:
        app.take(NOT_BEGUN)
        await pilot.pause()
        assert NOT_BEGUN.text not in text_of(app)
        app.take(closed())
        await pilot.pause()
        assert " 2 categories" in text_of(app)
        services.ended.update(NAMES)
        while app.is_running:
            await pilot.pause(0.05)
    assert (app.failure, came) == (None, [])
    assert app.last is not None
    assert list(stage_lines(app.last)) == ["  ingest  4,277 rows", "  split   3,043 rows", "  sink    8,551 rows"]


async def test_a_service_that_fails_ends_it() -> None:
    class Failing(Three):
        def finished(self) -> list[str]:
            raise DemoError("split ended with exit code 1")

    app = LiveView("demo", Failing(), None, [], deadline_s=60)
    async with app.run_test(size=SIZE) as pilot:
        while app.is_running:
            await pilot.pause(0.05)
    assert str(app.failure) == "split ended with exit code 1"


async def test_without_figures_in_time_it_says_why() -> None:
    app = LiveView("demo", Three(), None, [], deadline_s=0)
    app.take(NOT_BEGUN)
    async with app.run_test(size=SIZE) as pilot:
        while app.is_running:
            await pilot.pause(0.05)
    assert str(app.failure) == "no figures: nothing is begun"


async def test_k_kills_and_the_kills_are_counted() -> None:
    killer = Killer(Three())
    app = LiveView("demo", Three(), killer, [], deadline_s=60)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("k", "k")
        app.take(view())
        await pilot.pause()
        assert sum(killer.kills.values()) >= 2
        assert "k kill -9 (ingest " in text_of(app).splitlines()[-1]


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_a_key_that_ends_it_counts_as_ctrl_c(key: str) -> None:
    came: list[int] = []
    app = LiveView("demo", Three(), None, came, deadline_s=60)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(key)
    assert came == [signal.SIGINT]


def test_all_is_safe_once_no_row_is_missing_and_a_receipt_says_so() -> None:
    assert is_closed(closed())
    assert not is_closed(view())
    assert not is_closed(replace(closed(), receipts=()))
    assert not is_closed(replace(closed(), balance=()))
    assert not is_closed(replace(closed(), balance=(SplitBalance("Sex", 10, 12, 0, 0, -2),)))
