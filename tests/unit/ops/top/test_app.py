"""The terminal view, in both sizes: what is on the screen, what keys do, and what a lost broker leaves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from ops.top.app import TopApp
from ops.view.view import Trouble, View
from tests.harness.screens import text_of
from tests.harness.views import AT_MS, view

SCREENS = Path(__file__).parent / "screens"
SMALL, LARGE = (80, 24), (200, 60)
WHERE = "nacre.* at localhost:9092"
ESCAPED = "\\x1b[2J[red]b[/red]\\n😀.csv"
TROUBLE = Trouble("no figures: cannot connect to localhost:9092: \x1b[2J[red]refused", AT_MS + 1_000)


@asynccontextmanager
async def shown(
    *found: View | Trouble, size: tuple[int, int] = SMALL, keys: tuple[str, ...] = ()
) -> AsyncIterator[tuple[TopApp, Pilot[Any]]]:
    app = TopApp(WHERE, clock_ms=lambda: AT_MS + 12_000)
    async with app.run_test(size=size) as pilot:
        for each in found:
            app.take(each)
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        yield app, pilot


async def screen(*found: View | Trouble, size: tuple[int, int] = SMALL, keys: tuple[str, ...] = ()) -> str:
    async with shown(*found, size=size, keys=keys) as (app, _):
        return text_of(app)


def below_head(text: str) -> list[str]:
    """The lines of the list on a small screen."""
    lines = text.splitlines()
    [tabs] = [number for number, line in enumerate(lines) if line.startswith(" 1 files")]
    return [line for line in lines[tabs + 2 : -1] if line]


@pytest.mark.parametrize(
    ("name", "size", "found", "keys"),
    [
        ("files-80x24", SMALL, (view(),), ()),
        ("categories-80x24", SMALL, (view(),), ("2",)),
        ("replicas-80x24", SMALL, (view(),), ("3",)),
        ("rejected-80x24", SMALL, (view(),), ("4",)),
        ("balance-80x24", SMALL, (view(),), ("5",)),
        ("receipts-80x24", SMALL, (view(),), ("6",)),
        ("all-200x60", LARGE, (view(files=40, categories=60),), ()),
        ("old-80x24", SMALL, (view(), TROUBLE), ("2",)),
        ("old-200x60", LARGE, (view(), TROUBLE), ()),
        ("nothing-yet-80x24", SMALL, (), ()),
        ("no-broker-80x24", SMALL, (TROUBLE,), ()),
    ],
)
async def test_the_screen_is(
    name: str, size: tuple[int, int], found: tuple[View | Trouble, ...], keys: tuple[str, ...]
) -> None:
    text = await screen(*found, size=size, keys=keys)
    assert all(line.isprintable() for line in text.splitlines())
    path = SCREENS / f"{name}.txt"
    if not path.exists():
        # After a change, remove what differs, run this again, and look at what is there then.
        path.write_text(f"{text}\n")
        pytest.fail(f"there was no {path}: is it right now?")
    assert text == path.read_text().removesuffix("\n")


async def test_the_banner_goes_once_there_are_figures_again() -> None:
    assert await screen(view(), TROUBLE, view()) == await screen(view())


async def test_a_filter_keeps_what_has_the_text_in_its_name_in_any_case() -> None:
    async with shown(view(files=30), keys=("slash", *"/00007", "enter")) as (app, pilot):
        assert [line.split()[-1] for line in below_head(text_of(app))] == ["/data/00007.csv", "/00007"]
        await pilot.press("escape")
        await pilot.pause()
        assert len(below_head(text_of(app))) > 5
    async with shown(view(), keys=("2", "slash", *"SEX=m", "enter")) as (app, _):
        assert [line.split()[:2] for line in below_head(text_of(app))[:-1]] == [["Sex", "M"]]


async def test_keys_that_are_typed_into_the_filter_do_nothing_else() -> None:
    async with shown(view(), keys=("slash", *"qs1r")) as (app, _):
        assert app.is_running
        assert below_head(text_of(app)) == [" qs1r"]


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        ((), ESCAPED),
        (("s",), "/data/abalone.csv"),
        (("s", "s"), "/data/00000.csv"),
        (("s", "s", "s"), ESCAPED),
        (("s", "s", "s", "r"), "/data/abalone.csv"),
        (("s", "s", "s", "s"), ESCAPED),
    ],
)
async def test_each_order_has_its_first(keys: tuple[str, ...], first: str) -> None:
    assert below_head(await screen(view(), keys=keys))[0].endswith(first)


async def test_ten_thousand_files_scroll_and_only_those_on_the_screen_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shown(view(files=10_000)) as (app, pilot):
        listing = app._listings[0]  # noqa: SLF001
        drawn: list[object] = []
        cells_of = listing.panel.cells_of

        def counted(item: Any, scale: Any) -> Any:
            drawn.append(item)
            return cells_of(item, scale)

        rows = listing._rows  # noqa: SLF001
        monkeypatch.setattr(rows, "_panel", replace(listing.panel, cells_of=counted))
        await pilot.press("end")
        await pilot.pause(1.0)
        assert below_head(text_of(app))[-1].split()[-1] == "/data/abalone.csv"
        assert below_head(text_of(app))[-2].split()[-1] == "/data/09999.csv"
        app.take(view(files=10_000))
        await pilot.pause()
        assert 0 < len(drawn) < 2_000
        # What was scrolled to stays.
        assert below_head(text_of(app))[-1].split()[-1] == "/data/abalone.csv"


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_these_end_it(key: str) -> None:
    async with shown(view(), TROUBLE, keys=(key,)) as (app, _):
        assert not app.is_running or app._exit  # noqa: SLF001 - it is about to end


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (140, 40), (300, 100)])
async def test_it_has_something_to_show_in_any_size(size: tuple[int, int]) -> None:
    lines = (await screen(view(), size=size)).splitlines()
    assert len(lines) == size[1]
    assert any(line.strip() for line in lines)


async def test_looking_begins_once_and_when_there_is_a_screen() -> None:
    begun: list[int] = []

    class Derived(TopApp):
        def on_mount(self) -> None:
            """As the demo's view has one of its own."""

    app = Derived(WHERE)
    app.when_ready(lambda: begun.append(app.size.width))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
    assert begun == [SMALL[0]]


def verdict_of(app: TopApp) -> str:
    """What ends the line of the pipeline's name."""
    [title] = [line for line in text_of(app).splitlines() if line.startswith(f" {WHERE} ")]
    return title.removeprefix(f" {WHERE} ").strip()


async def test_figures_that_have_not_come_for_long_are_marked_as_old() -> None:
    now_ms = AT_MS + 19_000
    app = TopApp(WHERE, clock_ms=lambda: now_ms)
    async with app.run_test(size=SMALL) as pilot:
        app.take(view())
        await pilot.pause()
        assert "no new figures" not in text_of(app)
        now_ms = AT_MS + 25_000
        while "no new figures have come; what is below is 25 s old" not in text_of(app):
            await pilot.pause(0.1)
        assert verdict_of(app) == "not known"
        now_ms = AT_MS + 1_000
        while "no new figures" in text_of(app):
            await pilot.pause(0.1)
        assert verdict_of(app) == view().figures.verdict


async def test_figures_of_slow_looks_are_not_old_sooner_than_three_of_them_take() -> None:
    app = TopApp(WHERE, interval_s=60, clock_ms=lambda: AT_MS + 100_000)
    async with app.run_test(size=SMALL) as pilot:
        app.take(view())
        await pilot.pause()
        assert "no new figures" not in text_of(app)
