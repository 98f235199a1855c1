"""At rest every view has the same figures: the terminal view, the page, the report, the metrics and the receipts."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from tests.harness.chaos.receipts import receipt_path
from tests.harness.commands import nacre, replay
from tests.harness.health import Health
from tests.harness.html_page import parse_page
from tests.harness.pipeline import ABALONE_FILE, PROJECT, SERVICES, Pipeline
from tests.harness.web import Web

SETTINGS = {"SPLIT_BY": "*,Sex,Rings:int", "SETTLE_S": "0", "MAX_REJECTED": "100%"}
HEADER = b"Sex,Rings\n"
INGEST = "every split"
ALL_ROWS = "all rows"
# `nacre top --plain` names so many categories.
LARGEST = 10

Table = list[list[str]]


class Shown(Struct, frozen=True):
    """What a view says.

    `sources`: the rows and rejected rows of each. `rejected`: rows that were not replayed, by split and code.
    `balance`, by split: read, replayed, in files, rejected, rejected and replayed, under way. `categories`: rows by
    split and category.
    """

    sources: Mapping[str, tuple[int, int]]
    rejected: Mapping[tuple[str, str], int]
    balance: Mapping[str, list[int]]
    categories: Mapping[tuple[str, str], int]


def number(text: str) -> int:
    return int(text.replace(",", ""))


def in_the_folder(pipeline: Pipeline) -> Shown:
    """What receipts and files say, summed here."""
    sources: dict[str, tuple[int, int]] = {}
    rejected: Counter[tuple[str, str]] = Counter()
    sums: dict[str, Counter[str]] = {}
    for path in pipeline.output.glob("_receipts/**/*.json"):
        receipt = json.loads(path.read_bytes())
        splits = receipt["splits"]
        refused = {INGEST: receipt["rejected"]} | {split: each["rejected"] for split, each in splits.items()}
        sources[receipt["source"]] = receipt["rows"], sum(each["rows"] for each in refused.values())
        for split, each in refused.items():
            rejected.update({(split, code): rows for code, rows in each["codes"].items()})
        for split, each in splits.items():
            sums.setdefault(split, Counter()).update(
                read=receipt["rows"],
                replayed=each["replayed"],
                in_files=each["rows"],
                rejected=each["rejected"]["rows"],
                again=each["rejected"]["replayed"],
            )
    names = ("read", "replayed", "in_files", "rejected", "again")
    balance = {split: [found[name] for name in names] for split, found in sums.items()}
    for each in balance.values():
        read, replayed, *elsewhere = each
        each.append(read + replayed - sum(elsewhere))
    categories = {}
    for name, content in pipeline.output_files().items():
        split, _, category = name.removesuffix(".csv").partition("/")
        if split != "rejected":
            categories[split, category or ALL_ROWS] = content.count(b"\n") - 1
    return Shown(sources, rejected, balance, categories)


def in_the_terminal_view(pipeline: Pipeline) -> Shown:
    """What the first look of `nacre top --plain` prints. Of the categories, only the largest."""
    command = [sys.executable, "-m", "ops", "top", "--plain", "--interval-s", "0.1"]
    looking = subprocess.Popen(
        command, cwd=PROJECT, env=pipeline.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert looking.stdout is not None
    lines = [looking.stdout.readline()]
    while lines.count(lines[0]) < 2:
        lines.append(looking.stdout.readline())
    looking.terminate()
    looking.communicate(timeout=60)
    tables: dict[str, Table] = {}
    for block in "".join(lines[:-1]).strip().split("\n\n"):
        heading, *rows = block.splitlines()
        # A cell may be empty, so what is below a heading is its column.
        starts = [found.start() for found in re.finditer(r"\S+(?: \S+)*", heading)]
        columns = [slice(*each) for each in zip(starts, [*starts[1:], None], strict=True)]
        cells = [[row[column].strip() for column in columns] for row in rows]
        tables[re.sub(" {2,}", "|", heading)] = cells
    *largest, [others, *_] = tables["split|category|rows"]
    assert others.startswith("and")
    names = "balance|read|replayed|in files|rejected|rejected and replayed|under way"
    return Shown(
        {source: (number(rows), number(rejected)) for rows, rejected, source in tables["rows|rejected|receipt of"]},
        {(split, code): number(rows) for split, code, rows in tables["split|code|rejected"]},
        {split: [*map(number, figures)] for split, *figures in tables[names]},
        {(split, category or ALL_ROWS): number(rows) for split, category, rows in largest},
    )


def in_the_page(pipeline: Pipeline, folder: Path) -> Shown:
    """What `nacre web` sends to a page that is opened now."""
    with Web(pipeline.environment, folder) as web:
        view = web.wait_for_view(lambda _: True)
    names = ("rows", "replayed", "in_files", "rejected", "rejected_and_replayed", "missing")
    largest = view["categories"]["largest"]
    assert view["categories"]["count"] == len(largest)
    return Shown(
        {each["source"]: (each["rows"], each["rejected"]) for each in view["receipts"]},
        {(each["split"] or INGEST, each["code"]): each["rows"] for each in view["rejected"]},
        {each["split"]: [each[name] for name in names] for each in view["balance"]},
        {(each["split"], each["category"] or ALL_ROWS): each["rows"] for each in largest},
    )


def in_the_report(pipeline: Pipeline, folder: Path) -> Shown:
    """What `nacre report` writes."""
    path = folder / "report.html"
    nacre(pipeline, "report", pipeline.output, "--all", "-o", path)
    # Without the headings. A source's receipt is a row of one cell, below the source's row.
    tables = {
        name: [row for row in found[0][1:] if len(row) > 1]
        for name, found in parse_page(path.read_text()).tables.items()
    }
    assert {row[-1] for row in tables["balance"]} == {"yes"}
    return Shown(
        {row[0]: (number(row[2]), number(row[3])) for row in tables["sources"]},
        {(row[0], row[1]): number(row[2]) for row in tables["rejected"]},
        {row[0]: [*map(number, row[1:-1])] for row in tables["balance"]},
        {(row[0], row[1]): number(row[2]) for row in tables["categories"]},
    )


def test_top_web_report_metrics_and_receipts_agree_at_rest(pipeline: Pipeline, tmp_path: Path) -> None:
    sources = [tmp_path / "abalone.csv", tmp_path / "few.csv"]
    fields = [line.split(b",") for line in ABALONE_FILE.read_bytes().splitlines()]
    sources[0].write_bytes(b"".join(b"%s,%s\n" % (each[0], each[-1]) for each in fields))
    # Two records of too few or too many fields, which no split gets, and two rows without a number.
    sources[1].write_bytes(HEADER + b"M,1\nF\nI,none\ntoo,many,fields\nF,many\n")
    health = {name: Health() for name in SERVICES}
    for name in SERVICES:
        pipeline.start(name, INPUT=f"{tmp_path}/*.csv", **SETTINGS, **health[name].settings)
    paths = [receipt_path(pipeline.output, source) for source in sources]
    pipeline.wait_until(lambda: all(path.exists() for path in paths), "both are delivered")
    # One row is mended and goes to every split, one to the split that rejected it, and one is rejected again there.
    replay(pipeline, {"F": "F,4", "I,none": "I,3", "F,many": "F,many"})
    pipeline.wait_until(
        lambda: {rows[1] for rows in in_the_folder(pipeline).balance.values()} == {1, 3}, "all are replayed"
    )
    rows, replayed = 4_177 + 3, 5
    pipeline.wait_until(
        lambda: health["sink"].value("rows_sent_total") == 3 * rows + replayed - 3, "metrics are at rest"
    )

    folder = in_the_folder(pipeline)
    assert folder.rejected == {(INGEST, "fields"): 1, ("Rings", "number"): 1}
    assert folder.balance == {
        "Rings": [rows, 3, rows, 1, 2, 0],
        "Sex": [rows, 1, rows + 1, 0, 0, 0],
        "all": [rows, 1, rows + 1, 0, 0, 0],
    }
    assert in_the_page(pipeline, tmp_path) == folder
    assert in_the_report(pipeline, tmp_path) == folder
    terminal = in_the_terminal_view(pipeline)
    assert (terminal.sources, terminal.rejected, terminal.balance) == (folder.sources, folder.rejected, folder.balance)
    assert sorted(terminal.categories.values()) == sorted(folder.categories.values())[-LARGEST:]
    assert terminal.categories.items() <= folder.categories.items()

    # The metrics count what happened, so a row that was rejected and replayed is in them as both.
    ingest, split, sink = (health[name] for name in SERVICES)
    assert ingest.value("rows_sent_total") == sum(each[0] for each in folder.sources.values())
    assert sink.value("rows_sent_total") == sum(folder.categories.values()) == split.value("rows_sent_total")
    assert split.rejected() == {("Rings", "number"): sum(folder.balance["Rings"][3:5])}
    assert ingest.rejected() == {("", "fields"): 2}
