"""`nacre report` on output folders that the services' own code has made."""

import os
import re
from base64 import b64encode
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from common.protocol.output_folder import SUCCESS
from ops.report.command import main, write_page
from ops.verify.command import main as verify
from services.sink.folder_proofs.success import Processed, encode_success
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes, Entry
from services.sink.paths.template import path_rule
from services.sink.rolling.limits import Limits, Rolling
from tests.harness.delivered import change_ledgers, delivered
from tests.harness.html_page import HtmlPage, browse, find_chromium, parse_page

HEADER = b"Sex,Rings,Id\n"
SPLITS = "*,Sex,Rings:int"
ALLOWED_ATTRIBUTES = {"class", "id", "lang", "charset", "http-equiv", "content", "name", "href", "datetime", "role"}
ALLOWED_ATTRIBUTES |= {"aria-label", "aria-labelledby", "aria-hidden", "tabindex", "scope", "colspan", "viewbox"}
ALLOWED_ATTRIBUTES |= {"x", "y", "x1", "x2", "y1", "y2", "rx", "width", "height", "points", "text-anchor"}
ALLOWED_ATTRIBUTES |= {"preserveaspectratio"}


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A disk that syncs at once, and a working directory of its own."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    tmp_path.joinpath("here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def rows(count: int) -> bytes:
    return b"".join(b"%s,%d,%d\n" % ((b"M", b"F", b"")[n % 3], n % 7, n) for n in range(count))


def finish(folder: Path, sources: int, read: int) -> None:
    """Seal the partitions and mark the run, as a finite run does at its end."""
    change_ledgers(folder, "INSERT OR REPLACE INTO partition VALUES ('run', 'sealed')")
    ends = {f"{number}": 1 for number in range(sources)}
    (folder / "out" / SUCCESS).write_bytes(encode_success(Processed(0, ends, read, ""), "folder", "0"))


def reported(folder: Path, *arguments: str) -> HtmlPage:
    assert main([str(folder / "out"), "-o", "page.html", *arguments]) == 0
    return parse_page(Path("page.html").read_text())


def state_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, time and content of all that is below a folder."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def test_a_complete_run_says_so_and_its_figures_are_those_of_the_rows(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(100) + b"too,few\n", "b.csv": HEADER + b"M,many,1\n"})
    finish(tmp_path, 2, 101)
    before = state_of(tmp_path / "out")
    page = reported(tmp_path)
    assert state_of(tmp_path / "out") == before
    assert page.title == "out: complete"
    assert "complete Every row of every source is in its files, or rejected." in " ".join(page.texts["verdict"].split())
    [balance] = page.tables["balance"]
    assert [row[:-1] for row in balance[1:]] == [
        ["Rings", "101", "0", "100", "1", "0", "0"],
        ["Sex", "101", "0", "101", "0", "0", "0"],
        ["all", "101", "0", "101", "0", "0", "0"],
    ]
    assert {row[-1] for row in balance[1:]} == {"yes"}
    assert balance[0][-2:] == ["Missing", "Closes"]
    assert page.tables["rejected"][0][1:] == [["every split", "fields", "1", "0"], ["Rings", "number", "1", "0"]]
    shown = [row[1:] for row in page.tables["rejected"][1][1:]]
    assert sorted(shown) == [
        ["102", "every split", "fields", "2 fields, the header has 3", "too,few"],
        ["2", "Rings", "number", "Rings: not an int: 'many'", "M,many,1"],
    ]
    found = {tuple(row[:3]) for row in page.tables["categories"][0][1:]}
    assert {("all", "all rows", "101"), ("Sex", "empty field", "33"), ("Rings", "3", "14")} <= found
    first, *_ = page.tables["sources"]
    assert [row[1:4] for row in first[1:] if len(row) > 1] == [["delivered", "100", "1"], ["delivered", "1", "1"]]
    assert page.tables["origin"][0][3][1] == "cluster"


def test_every_figure_of_a_receipt_is_in_the_page(tmp_path: Path) -> None:
    delivery = delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(100) + b"M,many,1\nM,more,2\n"})
    [source] = delivery.recorders
    page = reported(tmp_path)
    receipt = Path(f"{delivery.root}/_receipts/{source}.json").read_text()
    text = " ".join(page.texts["sources"].split())
    checksums = set(re.findall(r'"checksum": "([0-9a-f]{16})"', receipt)) - {f"{0:016x}"}
    assert len(checksums) == 3
    for figure in checksums:
        assert figure in text
    content = HEADER + rows(100) + b"M,many,1\nM,more,2\n"
    size = len(content) - len(HEADER) - 102
    assert f"102 rows in {size:,} bytes, of {len(content):,} bytes of the source" in text
    of_splits = page.tables["sources"][1]
    assert [row[:3] for row in of_splits[1:]] == [
        ["all", "102", f"{size:,}"],
        ["Sex", "102", f"{size:,}"],
        ["Rings", "100", f"{size - 16:,}"],
    ]
    assert of_splits[3][4].startswith("2 number, checksum ")
    assert "Rings/0.csv" in text
    assert "Rings/6.csv" not in text
    assert "Rings/6.csv" in reported(tmp_path, "--all").texts["sources"]


@pytest.mark.parametrize("lists_all", [False, True])
def test_of_many_categories_the_largest_are_listed_and_how_many_more_there_are(
    tmp_path: Path, *, lists_all: bool
) -> None:
    delivered(tmp_path, "*,Id", {"a.csv": HEADER + rows(130) + b"M,1,129\n"})
    page = reported(tmp_path, *(["--all"] if lists_all else []))
    [table] = page.tables["categories"]
    assert len(table) - 1 == (131 if lists_all else 100)
    assert [row[1] for row in table[1:3]] == ["all rows", "129"]
    assert ("31 more are not listed" in page.texts["categories"]) != lists_all
    assert "131 categories in 131 files." in page.texts["categories"]


def test_a_category_of_two_schemas_is_one(tmp_path: Path) -> None:
    delivered(tmp_path, "Sex", {"a.csv": b"Sex,Rings\nM,1\nF,2\n", "b.csv": b"Rings,Sex\n1,M\n2,M\n"})
    page = reported(tmp_path)
    [[_, first, second]] = page.tables["categories"]
    assert (first[:3], second[:3]) == (["Sex", "M", "3"], ["Sex", "F", "1"])
    assert "2 categories in 3 files." in page.texts["categories"]
    assert len([name for name in first[-1].split() if name.endswith(".csv")]) == 2


def test_rows_of_forgotten_sources_were_read(tmp_path: Path) -> None:
    delivery = delivered(tmp_path, "Sex", {"a.csv": HEADER + rows(10), "b.csv": HEADER + rows(5)})

    def forget(source: Path) -> HtmlPage:
        for path in (tmp_path / "out" / ".nacre").glob("*.ledger"):
            ledger = Ledger(path)
            ledger.forget([str(source)])
            ledger.close()
        return reported(tmp_path)

    first, second = delivery.recorders
    for source in (first, second):
        page = forget(source)
        assert "Rows read15" in page.texts["verdict"]
        assert page.tables["balance"][0][1] == ["Sex", "15", "0", "15", "0", "0", "0", "yes"]


HOSTILE = (
    "<script>document.title='gone'</script>",
    "<img src=http://127.0.0.1:{port}/ onerror=\"document.title='gone'\">",
    "\"'><svg onload=\"document.title='gone'\">",
    "</style></title></table><link rel=stylesheet href=http://127.0.0.1:{port}/>",
    "&lt;b&gt;{{ 7 * 7 }}{% raw %}",
    "\u202eright to left, \x1b[31mred, \x00 nothing",
)


def hostile_folder(folder: Path, port: int = 9) -> list[str]:
    """A run whose sources, categories and rejected rows are hostile; what they are called."""
    texts = [text.replace("{port}", str(port)) for text in HOSTILE]
    quoted = [f'"{text.replace(chr(34), chr(34) * 2)}"' for text in texts]
    body = "".join(f"{each},{number},1\n" for number, each in enumerate(quoted))
    body += "".join(f"{each},none\n{each},x,1\n" for each in quoted)
    names = [f"{text.replace('/', '|').replace(chr(0), '0')}.csv" for text in texts]
    delivered(
        folder, f"*,Sex,Rings:int,{names[0][:8]}=Sex", {name: (HEADER.decode() + body).encode() for name in names}
    )
    return names


def test_nothing_that_data_hold_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    names = hostile_folder(tmp_path)
    page = reported(tmp_path)
    assert not {"script", "img", "link", "iframe", "object", "b", "base", "form"} & set(page.tags)
    assert {name for _, name, _ in page.attributes} <= ALLOWED_ATTRIBUTES
    assert all(value.startswith("#") for value in page.values("a", "href"))
    assert (page.title, page.tags["style"]) == ("out: not complete", 1)
    sources = {row[0] for row in page.tables["sources"][0]}
    assert any(names[0] in each for each in sources)
    categories = {row[1] for row in page.tables["categories"][0]}
    assert {HOSTILE[0], HOSTILE[4], "\\u202eright to left, \\x1b[31mred, \\x00 nothing"} <= categories
    rejected = {row[-1] for row in page.tables["rejected"][1]}
    assert f'"{HOSTILE[0]}",none' in rejected
    hidden = [sign for text in page.texts.values() for sign in text if not sign.isprintable() and sign != "\n"]
    assert hidden == []
    # Only the style of the page itself may be used, and nothing be asked for.
    [policy] = [value for value in page.values("meta", "content") if "default-src" in value]
    digest = b64encode(sha256(page.style.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "url(" not in page.style
    assert "@import" not in page.style


class Asked(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - of the one server of this module

    def do_GET(self) -> None:
        """Note what is asked for."""
        self.asked.append(self.path)
        self.send_response(404)
        self.end_headers()


def test_a_browser_runs_nothing_asks_for_nothing_and_uses_the_style(tmp_path: Path) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("there is no chromium")
    server = HTTPServer(("127.0.0.1", 0), Asked)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        hostile_folder(tmp_path, server.server_port)
        assert main([str(tmp_path / "out"), "-o", "page.html"]) == 0
        document, log = browse(chromium, Path("page.html"), tmp_path / "profile")
    finally:
        server.shutdown()
        server.server_close()
    assert Asked.asked == []
    assert "<title>out: not complete</title>" in document
    assert "CONSOLE" not in log
    assert "Content Security Policy" not in log


def test_the_page_can_be_left_without_rejected_rows(tmp_path: Path) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + b"secret,1\n"})
    assert "secret,1" in reported(tmp_path).texts["rejected"]
    page = reported(tmp_path, "--without-rows")
    assert "secret" not in Path("page.html").read_text()
    assert "1 row" not in page.texts["rejected"]
    assert page.tables["rejected"][0][1:] == [["every split", "fields", "1", "0"]]


def test_a_source_under_way_is_named_with_what_it_lacks_and_its_rows_are_missing_once_the_run_has_ended(
    tmp_path: Path,
) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + rows(10), "b.csv": HEADER + rows(5)})
    change_ledgers(tmp_path, "UPDATE tallies SET rows = rows - 3 WHERE source LIKE '%/a.csv' AND kind = 'read'")
    change_ledgers(tmp_path, "DELETE FROM passed WHERE source LIKE '%/a.csv' AND split = ''")
    change_ledgers(tmp_path, "UPDATE files SET rows = rows - 3")
    page = reported(tmp_path)
    assert page.title == "out: not complete"
    assert "3 of 10 rows are not safe yet in split all" in page.texts["verdict"]
    heading, line = page.tables["balance"][0]
    assert (heading[-2], line) == ("Under way", ["all", "15", "0", "12", "0", "0", "3", "no"])
    assert [row[1] for row in page.tables["sources"][0][1:] if len(row) > 1] == ["under way", "delivered"]
    finish(tmp_path, 2, 15)
    assert reported(tmp_path).tables["balance"][0][0][-2] == "Missing"


def test_what_is_wrong_is_said_at_the_top(tmp_path: Path) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + rows(10)})
    finish(tmp_path, 1, 10)
    with (tmp_path / "out" / "all.csv").open("r+b") as file:
        file.truncate(20)
    page = reported(tmp_path)
    assert page.title == "out: wrong"
    assert "all.csv" in page.texts["verdict"]


def test_a_run_whose_receipts_were_left_out_is_reported_from_its_ledgers(tmp_path: Path) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + rows(10)})
    for path in (tmp_path / "out").rglob("_receipts/**/*.json"):
        path.unlink()
    page = reported(tmp_path)
    assert [row[1:3] for row in page.tables["sources"][0][1:] if len(row) > 1] == [["delivered", "10"]]
    assert "0 receipts" in page.texts["sources"]
    assert "No receipt of it is here" in page.texts["sources"]
    assert page.tables["balance"][0][1] == ["all", "10", "0", "10", "0", "0", "0", "yes"]


def test_a_folder_of_format_1_says_what_it_cannot_know(tmp_path: Path) -> None:
    hidden = tmp_path / "out" / ".nacre"
    hidden.mkdir(parents=True)
    content = b"source,line,offset,split,reason,row\n/a,2,9,,short,x\n"
    (tmp_path / "out" / "rejected.csv").write_bytes(content)
    ledger = Ledger(hidden / "rejected-0.ledger", 1)
    ledger.commit({"cluster": "c1"}, Changes([Entry(b"rejected", "rejected.csv", len(content), 1)]))
    ledger.close()
    page = reported(tmp_path)
    assert page.title == "out: not known to be complete"
    assert "format 1" in page.texts["verdict"]
    for section in ("balance", "time", "sources"):
        assert "Not known: " in page.texts[section]
        assert "format 1" in page.texts[section]
    assert page.tables["rejected"][0][1] == ["/a", "2", "every split", "-", "short", "x"]
    assert [row[1] for row in page.tables["origin"][0][1:4]] == ["not known", "1", "c1"]
    unknown = "1 row in rejected.csv; how many for which reason, no ledger of format 1 knows."
    assert unknown in page.texts["rejected"]
    # The pipeline is upgraded.
    ledger = Ledger(hidden / "rejected-0.ledger", 2)
    ledger.commit({"cluster": "c1"}, Changes([]))
    ledger.close()
    page = reported(tmp_path)
    assert page.tables["origin"][0][2][1] == "2"
    assert unknown in page.texts["rejected"]


def test_a_folder_that_a_sink_is_just_creating_is_not_complete(tmp_path: Path) -> None:
    hidden = tmp_path / "out" / ".nacre"
    hidden.mkdir(parents=True)
    (hidden / "categorized-0.ledger").touch()
    assert reported(tmp_path).title == "out: not complete"


def test_files_that_are_finished_have_their_final_names(tmp_path: Path) -> None:
    rolling = Rolling(path_rule("{split}/{category}.csv", rolls=True), Limits(rows=10))
    delivered(tmp_path, "Sex", {"a.csv": HEADER + rows(300)}, ends=True, rolling=rolling)
    page = reported(tmp_path)
    [row] = [row for row in page.tables["categories"][0] if row[1] == "M"]
    assert row[2] == "100"
    assert row[-1] == " ".join([*(f"Sex/M-{n:06}.csv" for n in range(1, 6)), "and 5 more"])
    assert Path(tmp_path, "out", "Sex", "M-000001.csv").exists()


def test_the_report_has_a_name_of_its_own_and_is_written_in_one_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + rows(10)})
    capsys.readouterr()
    assert main([str(tmp_path / "out")]) == 0
    assert [path.name for path in Path().iterdir()] == ["out-report.html"]
    assert capsys.readouterr().out.startswith("out-report.html: not complete: ")
    first = Path("out-report.html").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert main([str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "nacre report: [Errno 28] No space left on device\n"
    assert [(path.name, path.read_bytes()) for path in Path().iterdir()] == [("out-report.html", first)]


def test_a_link_and_a_pipe_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_bytes(b"old")
    Path("link.html").symlink_to(tmp_path / "real.html")
    write_page(Path("link.html"), b"new")
    assert Path("link.html").is_symlink()
    assert (tmp_path / "real.html").read_bytes() == b"new"
    os.mkfifo("pipe")
    found: list[bytes] = []
    reader = Thread(target=lambda: found.append(Path("pipe").read_bytes()))
    reader.start()
    write_page(Path("pipe"), b"page")
    reader.join()
    assert found == [b"page"]
    assert Path("pipe").is_fifo()


def test_the_page_goes_to_standard_output_and_the_verdict_beside_it(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + rows(10)})
    capfdbinary.readouterr()
    assert main([str(tmp_path / "out"), "-o", "-"]) == 0
    printed = capfdbinary.readouterr()
    assert parse_page(printed.out.decode()).title == "out: not complete"
    assert printed.err.startswith(b"not complete: ")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("target", ["report.html", "Sex/report.html", ".nacre/r.html"])
def test_a_report_inside_the_folder_is_refused_so_that_the_folder_stays_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    delivered(tmp_path, "Sex", {"a.csv": HEADER + rows(10)})
    root = tmp_path / "out"
    (tmp_path / "link").symlink_to(root)
    assert main([str(root), "-o", str(root / target)]) == 78
    assert main([str(root), "-o", str(tmp_path / "link" / target)]) == 78
    monkeypatch.chdir(root)
    assert main(["."]) == 78
    assert capsys.readouterr().err.count("is inside") == 3
    assert verify([str(root), "--quick"]) == 0


@pytest.mark.parametrize("given", [["nowhere"], ["--no-such"]])
def test_a_wrong_argument_is_reported_in_one_line(capsys: pytest.CaptureFixture[str], given: list[str]) -> None:
    assert main(given) == 78
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_damaged_ledger_is_reported_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = tmp_path / "out" / ".nacre"
    hidden.mkdir(parents=True)
    (hidden / "categorized-0.ledger").write_bytes(b"no ledger\n" * 1_000)
    assert main([str(tmp_path / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "categorized-0.ledger" in line


def test_a_mark_of_success_that_sink_did_not_write_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + rows(10)})
    (tmp_path / "out" / SUCCESS).write_bytes(b"")
    assert main([str(tmp_path / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"{SUCCESS} is not what sink writes" in line
