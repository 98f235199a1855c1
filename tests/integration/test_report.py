"""`nacre report` of real runs: its figures are those of the receipts and of the files."""

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.harness.commands import nacre, replay
from tests.harness.expectation import rejections
from tests.harness.html_page import HtmlPage, Row, parse_page
from tests.harness.pipeline import ABALONE_FILE, Pipeline

HEADER = b"Sex,Rings,Id\n"
SPLITS = "*,Sex,Rings:int"
PERMITTED = {"MAX_REJECTED": "100%"}


def report(pipeline: Pipeline) -> HtmlPage:
    page = pipeline.folder / "page.html"
    nacre(pipeline, "report", pipeline.output, "--all", "-o", page)
    return parse_page(page.read_text())


def receipts(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_bytes()) for path in pipeline.output.glob("_receipts/**/*.json")]
    return {each["source"]: each for each in found}


def numbers(row: Row) -> list[int]:
    """The cells that hold a number."""
    return [int(cell.replace(",", "")) for cell in row if cell.replace(",", "").isdigit()]


def check(pipeline: Pipeline) -> HtmlPage:
    """Compare the report of a finished run with its receipts and files."""
    page = report(pipeline)
    assert page.title == "out: complete"
    found = receipts(pipeline)
    # The balance: sums over the receipts.
    rows = sum(each["rows"] for each in found.values())
    for split, *figures, closes in page.tables["balance"][0][1:]:
        of_split = [each["splits"][split] for each in found.values()]
        assert numbers(figures) == [
            rows,
            sum(each["replayed"] for each in of_split),
            sum(each["rows"] for each in of_split),
            sum(each["rejected"]["rows"] for each in of_split),
            sum(each["rejected"]["replayed"] for each in of_split),
            0,
        ]
        assert closes == "yes"
    # The sources.
    sources = {row[0]: row for row in page.tables["sources"][0][1:] if len(row) > 1}
    assert sources.keys() == found.keys()
    for source, receipt in found.items():
        _, state, read, rejected, safe_at, p50, p99 = sources[source]
        by_splits = sum(each["rejected"]["rows"] for each in receipt["splits"].values())
        refused_rows = receipt["rejected"]["rows"] + by_splits
        assert (state, *numbers([read, rejected])) == ("delivered", receipt["rows"], refused_rows)
        assert safe_at == receipt["safe_at"][:19].replace("T", " ") + " UTC"
        assert [p50.endswith(("s", "min")), p99.endswith(("s", "min"))] == [True, True]
        assert receipt["checksum"] in page.texts["sources"]
    # The categories: the rows and bytes of their files, which are several where there are several schemas.
    files = pipeline.output_files()
    refused = files.pop("rejected.csv")
    listed = {tuple(row[-1].split()): numbers([row[2], row[4]]) for row in page.tables["categories"][0][1:]}
    assert sorted(path for paths in listed for path in paths) == sorted(files)
    for paths, rows_and_bytes in listed.items():
        contents = [files[path] for path in paths]
        assert rows_and_bytes == [sum(map(count_rows, contents)), sum(map(len, contents))]
    # Rejected rows.
    standing: Counter[tuple[str, str]] = Counter()
    for each in found.values():
        by_split = {"": each["rejected"], **{split: of_it["rejected"] for split, of_it in each["splits"].items()}}
        for split, of_it in by_split.items():
            standing.update({(split or "every split", code): count for code, count in of_it["codes"].items()})
    assert {(row[0], row[1]): int(row[2]) for row in page.tables["rejected"][0][1:] if row[2] != "0"} == standing
    first = rejections(refused)[:20]
    assert [row[-1] for row in page.tables["rejected"][1][1:]] == [each["row"] for each in first]
    # Each row in a file has a latency.
    by_latency = sum(numbers(row)[-1] for row in page.tables["time"][0][1:])
    assert by_latency == sum(count for count, _ in listed.values())
    # What it was made from and by.
    origin = {row[0]: row[1] for row in page.tables["origin"][0]}
    [receipt, *_] = found.values()
    assert (origin["Kafka cluster"], origin["Output folder"]) == (receipt["cluster"], receipt["folder"])
    assert origin["Versions of sink, by receipts and _SUCCESS"] == receipt["nacre"]
    return page


def count_rows(content: bytes) -> int:
    return sum(1 for _ in csv.reader(io.StringIO(content.decode("latin-1"), newline=""))) - 1


def test_the_figures_of_a_finished_run_are_those_of_its_receipts_and_files(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "abalone.csv").write_bytes(ABALONE_FILE.read_bytes())
    lines = [b"%s,%d,%d" % ((b"M", b"F", b"I")[n % 3], n % 9, n) for n in range(500)]
    lines[7], lines[8], lines[9] = b"M,many,7", b"too,few", b'F,"x<b>y",9'
    (folder / "other.csv").write_bytes(HEADER + b"".join(line + b"\n" for line in lines))
    pipeline.run(folder, SPLITS, **PERMITTED)
    page = check(pipeline)
    assert {row[0]: numbers(row)[3] for row in page.tables["balance"][0][1:]} == {"Rings": 2, "Sex": 0, "all": 0}
    # Two are mended and sent again, one is sent as it is and rejected again.
    as_it_is = 'F,"x<b>y",9'
    replay(pipeline, {"M,many,7": "M,3,7", "too,few": "F,4,8", as_it_is: as_it_is})
    split = pipeline.start("split", SPLIT_BY=SPLITS, EXIT_WHEN_DONE="true", **PERMITTED)
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true", **PERMITTED)
    pipeline.finish(split, sink)
    page = check(pipeline)
    balances = {row[0]: numbers(row) for row in page.tables["balance"][0][1:]}
    assert {split: (row[1], row[3], row[4]) for split, row in balances.items()} == {
        "Rings": (3, 1, 2),
        "Sex": (1, 0, 0),
        "all": (1, 0, 0),
    }
    assert page.tables["rejected"][0][1] == ["every split", "fields", "0", "1"]


def test_while_a_sink_works_the_report_is_of_that_moment_and_says_so(pipeline: Pipeline, big_file: Path) -> None:
    ingest = pipeline.start("ingest", big_file)
    services = [ingest, pipeline.start("split", SPLIT_BY="*"), pipeline.start("sink")]
    pipeline.wait_until(lambda: pipeline.output_size() > 0, "rows are in a file")
    looks = 0
    while not receipts(pipeline):
        page = report(pipeline)
        looks += 1
        assert page.title == "out: not complete"
        assert "a sink without EXIT_WHEN_DONE fills the folder" in page.texts["verdict"]
    assert looks
    for service in services:
        assert service.stop()[0] == 0
    page = report(pipeline)
    [[_, read, _, in_files, *_]] = page.tables["balance"][0][1:]
    assert read == in_files
    assert page.title == "out: not complete"
    assert "1 source, 1 delivered, 1 receipt." in page.texts["sources"]
    # Nothing in the folder was changed, or added.
    verified = nacre(pipeline, "verify", pipeline.output)
    assert b"all is well" in verified
