"""The page of `nacre web` in a real browser: what a person sees of it, and what data cannot do to it."""

import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.protocol.progress import Progress
from common.rows.tally import Tally
from ops.kafka.local import LocalKafka
from ops.status.figures import figures
from ops.status.observation import Observation
from ops.view.view import CategoryRows, View
from ops.web.access import Access, names_of
from ops.web.board import Board
from ops.web.fields import fields_of, point_of
from ops.web.server import open_server
from tests.harness.browser import Browser, Page, find_chromium
from tests.harness.pipeline import ABALONE_FILE, Pipeline
from tests.harness.views import view
from tests.harness.web import Web, find_axe

MakePipeline = Callable[[str], Pipeline]
RecordProperty = Callable[[str, object], None]
pytestmark = pytest.mark.long

HOSTILE = "<img src=x onerror=document.title='owned'>"
HOSTILE_ROW = f"\"{HOSTILE}<script>document.title='owned'</script>\",1,2,3"
IS_SHOWN = "!document.getElementById('main').hidden && document.querySelectorAll('.uplot').length === 3"
IS_LIVE = "!document.body.classList.contains('old') && document.getElementById('news').textContent.startsWith('Live')"
IS_OLD = "document.body.classList.contains('old')"
PHONE, DESK = (360, 740), (1280, 800)
# Fewer would have found something to judge if axe had not seen the page.
MANY_RULES = 25


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("Chromium is not installed: the page is not tried in a browser")
    with Browser(path) as browser:
        yield browser


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = find_axe(tmp_path_factory.mktemp("axe"))
    if found is None:
        pytest.skip("npm is not installed: the page is not examined with axe")
    return found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.open()
    page.appear(*DESK)
    yield page
    page.close()


@contextmanager
def showing(view: View) -> Iterator[tuple[str, Board]]:
    """A server whose board has this view; yields its address."""
    board = Board()
    board.show_view(fields_of(view, "test.* at kafka:9092"), point_of(view), view.figures.sources)
    server = open_server("localhost", 0, board, Access(names_of("localhost", socket.gethostname(), [])))
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/", board
    finally:
        board.close()
        server.shutdown()
        thread.join()
        server.server_close()


def hostile_pipeline(pipeline: Pipeline, folder: Path) -> None:
    """Rows, a category, a file and rejected rows that would do something if they became HTML."""
    folder.mkdir()
    header = ABALONE_FILE.read_bytes().splitlines(keepends=True)[0]
    shutil.copy(ABALONE_FILE, folder / "abalone.csv")
    row = f'"{HOSTILE}",0.4,0.3,0.1,0.5,0.2,0.1,0.1,9\n'
    (folder / f"{HOSTILE.replace('/', '')}.csv").write_bytes(header + f"{row}{HOSTILE_ROW}\n".encode())
    pipeline.run(folder, "*,Sex,Rings:int", MAX_REJECTED="100%")


def test_hostile_names_categories_and_rows_are_text_and_nothing_is_kept_from_the_page(
    pipeline: Pipeline, tmp_path: Path, page: Page
) -> None:
    hostile_pipeline(pipeline, tmp_path / "in")
    with Web(pipeline.environment, tmp_path) as web:
        page.go(web.link)
        page.wait_until(IS_SHOWN)
        page.wait_until(
            "document.querySelectorAll('#rejected tr').length === 1 && !document.querySelector('#rejected td[colspan]')"
        )
        page.wait_until("document.querySelectorAll('#files tr').length === 2")
        assert page.text("#verdict") == "ok"
        for place in ("#files", "#categories", "#rejected", "#receipts"):
            assert HOSTILE in str(page.value(f"document.querySelector('{place}').textContent")), place
        assert HOSTILE_ROW in page.text("#rejected")
        assert page.value("document.querySelectorAll('main img, main script, main [onerror]').length") == 0
        assert str(page.value("document.title")).startswith("ok ")
        # Nor is there another way: the browser itself refuses to make HTML of a text here, and to run one.
        refused = "(() => { try { document.body.innerHTML = 'x'; return ''; } catch (error) { return error.name; } })()"
        assert page.value(refused) == "TypeError"
        of_this = [each for each in page.complaints if "TrustedHTML" not in each]
        assert of_this == []


def test_what_no_ledger_knows_of_rejected_rows_is_said(page: Page) -> None:
    found = view()
    chips = "[...document.querySelectorAll('#rejected-counts li')].map((chip) => chip.textContent)"
    known = ["3 \N{MULTIPLICATION SIGN} number, Rings", "2 \N{MULTIPLICATION SIGN} fields, (every split)"]
    with showing(found) as (address, board):
        page.go(address)
        page.wait_until(IS_SHOWN)
        assert page.value(chips) == known
        older = replace(found, has_older_rows=True)
        board.show_view(fields_of(older, "test.* at kafka:9092"), point_of(older), older.figures.sources)
        page.wait_until(f"{chips}.length === 3")
        assert page.value(chips) == [*known, "without rows of format 1, whose codes no ledger knows"]


def test_axe_finds_nothing_serious_and_nothing_runs_off_the_side(
    pipeline: Pipeline, tmp_path: Path, page: Page, axe: str
) -> None:
    hostile_pipeline(pipeline, tmp_path / "in")
    with Web(pipeline.environment, tmp_path) as web:
        for size, drawn in ((DESK, 1080), (PHONE, 340)):
            for scheme, ground in (("light", "rgb(245, 246, 248)"), ("dark", "rgb(15, 20, 27)")):
                page.appear(*size, scheme)
                page.go(web.link)
                page.wait_until(IS_SHOWN)
                page.wait_until("document.querySelectorAll('#files tr').length === 2")
                page.value(axe)
                passed, found = page.value(
                    "axe.run(document).then(({passes, violations}) => [passes.length, violations.map("
                    "({id, impact, nodes}) => [impact, id, nodes.map(({target}) => target.join(' ')).join(', ')])])"
                )
                assert passed > MANY_RULES
                assert [each for each in found if each[0] in {"serious", "critical"}] == []
                assert page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
                assert page.value("getComputedStyle(document.body).backgroundColor") == ground
                assert page.value("document.querySelector('#picture svg').viewBox.baseVal.width") == drawn


def test_figures_are_marked_as_old_without_a_broker_or_a_server_and_come_back_by_themselves(
    own_kafka: LocalKafka, make_pipeline: MakePipeline, tmp_path: Path, page: Page
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    source = tmp_path / "in.csv"
    source.write_bytes(b"Sex,Rings\nM,1\nF,2\n")
    pipeline.run(source, "Sex")
    with Web(pipeline.environment, tmp_path) as web:
        page.go(web.link)
        page.wait_until(IS_LIVE)
        own_kafka.kill()
        page.wait_until(IS_OLD)
        assert "These figures are of" in page.text("#news")
        assert page.text("#verdict") == "not known"
        assert page.value("document.title").startswith("not known ")
        assert page.text("#stages tr").split()[:3] == ["ingest", "ok", "2"]
        own_kafka.start()
        page.wait_until(IS_LIVE)
        assert page.text("#verdict") == "ok"
        assert page.value("document.title").startswith("ok ")
        port = web.port
        # One that hangs is missed as well as one that is gone.
        web.process.send_signal(signal.SIGSTOP)
        page.wait_until(IS_OLD)
        web.process.send_signal(signal.SIGCONT)
        page.wait_until(IS_LIVE)
        assert web.stop(signal.SIGTERM) == 0
        page.wait_until(IS_OLD)
        assert page.text("#news").startswith("The server does not answer")
        assert page.value("getComputedStyle(document.querySelector('main')).filter") == "grayscale(1)"
        web.start("--port", str(port))
        page.wait_until(IS_LIVE)


def test_rows_move_unless_a_person_wants_no_motion(page: Page) -> None:
    # However long this takes, these figures do not become old.
    at_ms = round(time.time() * 1000) + 3_600_000
    earlier = Observation(1.0, at_ms - 1_000, {"a": Progress("a", tally=Tally(rows=1))})
    now = Observation(2.0, at_ms, {"a": Progress("a", tally=Tally(rows=50_000))}, split_rows=10)
    view = View(figures(now, earlier), 50_000, None, None)
    moving = "document.getAnimations().filter((each) => each.playState === 'running').length"
    paces = "[...document.querySelectorAll('#picture .flow')].map((each) => each.dataset.pace ?? '').join()"
    with showing(view) as (address, board):
        page.go(address)
        page.wait_until(IS_LIVE)
        assert page.value(paces) == "3,3,1,1,,,,,"
        assert page.value(moving) == 4
        page.appear(*DESK, motion=False)
        page.wait_until(f"{moving} === 0")
        page.appear(*DESK)
        page.wait_until(f"{moving} === 4")
        board.show_trouble("no figures: the broker is away", at_ms)
        page.wait_until(f"{moving} === 0")


def test_no_line_is_drawn_across_an_outage_on_a_page_that_is_open(page: Page) -> None:
    at_ms = round(time.time() * 1000)
    view = View(figures(Observation(1.0, at_ms)), 0, 0, 0.0)
    # What is drawn last is the age of the oldest unsafe row.
    stub = "window.uPlot = class { constructor(_, data) { window.drawn = data; } setData(data) { window.drawn = data; }"
    with showing(view) as (address, board):
        page.go(address)
        page.wait_until(IS_SHOWN)
        page.value(f"void ({stub} destroy() {{}} setSize() {{}} }})")
        # The page draws its plots again in the other colours.
        page.appear(*DESK, scheme="dark")
        page.wait_until("window.drawn && window.drawn[1].join() === '0'")
        for later_s in (1, 2):
            board.show_trouble("no figures: the broker is away", at_ms + 1_000 * later_s)
        page.wait_until("document.getElementById('news').textContent.startsWith('No figures')")
        assert page.value("JSON.stringify(window.drawn[1])") == "[0,null]"


def test_ten_thousand_files_and_a_hundred_thousand_categories_cost_what_few_do(
    page: Page, record_property: RecordProperty
) -> None:
    sources = {
        f"/data/{n:05}.csv": Progress(f"/data/{n:05}.csv", offset=n + 1, tally=Tally(rows=n)) for n in range(10_000)
    }
    categories = tuple(CategoryRows("Key", f"{n}", 100_000 - n, 1) for n in range(500))
    view = View(figures(Observation(1.0, 1_000, sources)), 1, 1, 0.0, categories, 100_000)
    elements = "document.querySelectorAll('*').length"
    first = "document.querySelector('#files td bdi')?.textContent"
    with showing(view) as (address, board):
        page.go(address)
        page.wait_until(IS_SHOWN)
        page.wait_until(f"{first} === '/data/00000.csv'")
        assert page.text("#categories-summary") == "The largest 100 of 100,000."
        assert page.value(elements) < 2_000
        assert page.value("document.getElementById('files-table').getAttribute('aria-rowcount')") == "10001"

        # By keyboard alone: to the list, to its end.
        page.value("document.getElementById('files-scroll').focus()")
        page.press("End")
        page.wait_until("[...document.querySelectorAll('#files td bdi')].at(-1)?.textContent === '/data/09999.csv'")
        assert page.value(elements) < 2_000
        page.value("document.getElementById('files-contains').focus()")
        page.type("0123")
        page.wait_until("document.getElementById('files-found').textContent === '11 found'")
        page.wait_until(f"{first} === '/data/00123.csv'")

        began = page.value("performance.now()")
        for number in range(20):
            at_ms = 2_000 + number
            later = View(figures(Observation(2.0, at_ms, sources)), number, 1, 0.0, categories, 100_000)
            board.show_view(fields_of(later, "test"), point_of(later), later.figures.sources)
            page.wait_until(f"document.querySelector('#totals dd').firstChild.textContent === '{number}'")
        took_ms = page.value("performance.now()") - began
        record_property("milliseconds from a look at 10,000 files to what a page shows", took_ms / 20)
    assert page.complaints == []


def test_every_control_is_reached_by_the_keyboard_and_can_be_seen(page: Page) -> None:
    with showing(View(figures(Observation(1.0, 1_000)), 0, None, None)) as (address, _):
        page.go(address)
        page.wait_until(IS_SHOWN)
        at = "document.activeElement"
        reached: dict[int, str] = {}
        while True:
            page.press("Tab")
            number, name, outline = page.value(
                f"[[...document.querySelectorAll('body *')].indexOf({at}), {at}.id || {at}.className, "
                f"getComputedStyle({at}).outlineStyle]"
            )
            if number == -1 or number in reached:
                break
            assert outline != "none", name
            reached[number] = name
        names = list(reached.values())
        # The first is the link past everything that comes before the figures.
        assert names[0] == "skip"
        lists = page.value("[...document.querySelectorAll('[role=region]')].map((each) => each.id || each.className)")
        assert len(lists) == 7
        assert {"files-contains", "files-delivery"} <= {*names}
        assert [name for name in names if name in lists] == lists
        page.value("document.querySelector('.skip').focus()")
        page.press("Enter")
        page.wait_until(f"{at}.id === 'main'")
