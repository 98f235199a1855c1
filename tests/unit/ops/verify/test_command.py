"""`nacre verify` on output folders that the services' own code has made."""

import asyncio
import gzip
import json
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest
import zstandard

from common.protocol.output_folder import LEDGERS
from ops.verify.command import main, verify
from ops.verify.files import check_length
from ops.verify.given import compare_sources, find_given
from ops.verify.ledgers import Ledgers
from ops.verify.receipts import check_receipts
from ops.verify.report import Report
from ops.verify.settings import read_arguments
from ops.verify.sources import text_at
from ops.verify.spool import Spool
from services.sink.ledger.database import Ledger
from services.sink.paths.template import path_rule
from services.sink.rolling.limits import Limits, Rolling
from tests.harness.delivered import change_ledgers, delivered
from tests.harness.mutations import KINDS, Mutation, mutated
from tests.harness.parts import unpacked

HEADER = b"Sex,Rings,Id\n"
SPLITS = "*,Sex,Rings:int"


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that syncs at once."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def rows(first: int, count: int) -> bytes:
    return b"".join(b"%s,%d,%d\n" % ((b"M", b"F", b"")[n % 3], n % 7, n) for n in range(first, first + count))


def verified(folder: Path, *arguments: str) -> Report:
    return verify(read_arguments([str(folder / "out"), *arguments]))


def with_sources(folder: Path, *arguments: str, split_by: str = SPLITS) -> Report:
    return verified(folder, "--source", str(folder / "in"), "--split-by", split_by, *arguments)


def texts(report: Report) -> list[str]:
    return [finding.text for finding in (*report.differs.first, *report.not_yet.first)]


def unseen(report: Report) -> list[str]:
    return [finding.what for finding in report.unseen.first]


def assert_well(report: Report) -> None:
    assert texts(report) == []
    assert report.exit_code == 0


def edit(folder: Path, statement: str, *values: object) -> int:
    """Change all ledgers; return how many rows were changed."""
    count = 0
    for ledger in folder.glob(f"out/{LEDGERS}"):
        with closing(sqlite3.connect(ledger)) as database:
            count += database.execute(statement, values).rowcount
            database.commit()
    return count


def test_all_calls_find_a_delivered_folder_well(tmp_path: Path) -> None:
    delivered(
        tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 300) + b"too,few\nM,x,9\n", "b.csv": HEADER + rows(300, 120)}
    )
    for report in (verified(tmp_path, "--quick"), verified(tmp_path), with_sources(tmp_path)):
        assert_well(report)
        assert report.counts["files"] == 12
    assert with_sources(tmp_path).counts["rows"] == 3 * 421 - 1 + 2
    assert unseen(with_sources(tmp_path)) == []
    assert verified(tmp_path).counts["sources_delivered"] == verified(tmp_path).counts["receipts"] == 2
    # Nothing is left beside the ledgers.
    assert {path.suffix for path in tmp_path.glob("out/.nacre/*")} == {".ledger"}


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
NASTY = b'Sex;Rings;Note\r\nM;1;"a;b"\r\nF;07;"two\r\nlines"\r\n\r\n"M";x;""""\nM;2\r\nI;+3;\xe9\r\n"open;4;5\r\n;8;end'


@pytest.mark.parametrize(
    ("settings", "content"),
    [
        ({"delimiter": ";"}, NASTY),
        ({"delimiter": "auto", "quote": "auto"}, NASTY),
        ({"delimiter": ";", "encoding": "latin-1", "row_format": "json"}, NASTY),
        ({"delimiter": ";", "row_format": "json"}, NASTY),
        ({"delimiter": ";", "quote": "none"}, NASTY),
        ({"delimiter": ";", "skip_lines": "2"}, b"note\n\nSex;Rings;X\nM;1;\nF;2;y\n"),
        ({"delimiter": "auto"}, b"\xef\xbb\xbfsep=|\nSex|Rings\nM|1\nF|2\n" + b"I|3\n" * 30),
        ({}, b"\xef\xbb\xbf\n\n\xef\xbb\xbfSex,Rings\rM,1\r\rF,2\r"),
        ({}, b"Sex,Rings\nM,1\nF,2\r"),
    ],
)
@pytest.mark.parametrize("packing", PACK)
def test_rows_are_found_however_sources_are_written(
    tmp_path: Path, settings: dict[str, str], content: bytes, packing: str
) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": PACK[packing](content), "b.csv": content}, settings=settings)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    report = with_sources(tmp_path, *flags)
    assert_well(report)
    assert report.counts["rows"] > 0


def test_sources_without_a_header_are_found_by_position(tmp_path: Path) -> None:
    split_by = "#2:float/0.5,*"
    delivered(tmp_path, split_by, {"a.csv": b"M,1.2\nF,1.3\n,,\nI,\n"}, settings={"header": "none"})
    assert_well(with_sources(tmp_path, "--header", "none", split_by=split_by))
    assert (tmp_path / "out" / "#2" / "1.0.csv").read_bytes() == b"M,1.2\nF,1.3\n"


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_finished_files_are_unpacked_and_those_taken_away_are_counted(tmp_path: Path, packing: str) -> None:
    rule = path_rule("{split}={category}/{date}/{part}.csv", rolls=True, packed_suffix=packing)
    content = {"a.csv": HEADER + rows(0, 500)}
    delivered(tmp_path, SPLITS, content, ends=True, rolling=Rolling(rule, Limits(rows=40)))
    for report in (verified(tmp_path, "--quick"), verified(tmp_path), with_sources(tmp_path)):
        assert_well(report)
    paths = sorted(tmp_path.glob(f"out/Sex=M/*/*.csv{packing}"))
    assert len(paths) == 5
    paths[1].unlink()
    for report in (verified(tmp_path, "--quick"), verified(tmp_path), with_sources(tmp_path)):
        assert_well(report)
        assert report.counts["files_taken"] == 1
    # The others are still compared, those behind it too.
    packed = paths[3].read_bytes()
    changed = unpacked(paths[3].name, packed).replace(b"M,0,", b"M,1,", 1)
    paths[3].write_bytes(PACK[packing](changed))
    [checksum, row] = texts(with_sources(tmp_path))
    assert "CRC-32" in checksum
    assert f"000004.csv{packing}, line " in row
    paths[3].write_bytes(packed[:-9])
    assert verified(tmp_path).exit_code == 1


def test_a_file_that_is_cut_missing_foreign_or_a_link_is_named(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    out = tmp_path / "out"
    (out / "Sex" / "M.csv").unlink()
    (out / "Sex" / "F.csv").write_bytes((out / "Sex" / "F.csv").read_bytes()[:-3])
    (out / "Rings" / "more.csv").touch()
    (out / "all.csv").rename(tmp_path / "all.csv")
    (out / "all.csv").symlink_to(tmp_path / "all.csv")
    for arguments in (["--quick"], []):
        report = verified(tmp_path, *arguments)
        named = Counter((finding.what, finding.path) for finding in report.differs.first)
        assert named == {
            ("missing", "Sex/M.csv"): 1,
            ("missing", "all.csv"): 1,
            ("foreign", "all.csv"): 1,
            ("length", "Sex/F.csv"): 1,
            ("foreign", "Rings/more.csv"): 1,
        }


def test_a_sink_that_goes_on_after_a_file_was_measured_makes_no_difference(tmp_path: Path) -> None:
    delivery = delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    report = Report()
    with closing(Ledgers(tmp_path / "out")) as ledgers:
        [before] = [file for file in ledgers.files() if file.path == "all.csv"]
        with (tmp_path / "in" / "a.csv").open("ab") as file:
            file.write(rows(30, 10))
        asyncio.run(delivery.deliver(tmp_path / "in" / "a.csv"))
        # It was longer than the first ledger says, and has grown behind that since.
        path = tmp_path / "out" / "all.csv"
        path.write_bytes(path.read_bytes()[: before.length + 6])
        check_length(ledgers, before, report)
    assert texts(report) == []


def test_a_folder_that_cannot_be_listed_is_told_and_one_that_has_gone_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    for name in ("lost+found", "gone"):
        (tmp_path / "out" / name).mkdir()
    scandir = os.scandir

    def listed(path: Path) -> object:
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        if path.name == "gone":
            path.rmdir()
        return scandir(path)

    monkeypatch.setattr("ops.verify.files.os.scandir", listed)
    report = verified(tmp_path, "--quick")
    assert_well(report)
    told = {finding.what: finding.text for finding in report.unseen.first}
    assert told.keys() == {"content", "folder"}
    assert told["folder"].startswith("lost+found/ cannot be listed (Permission denied)")
    assert "of packed files only that they are there" in told["content"]


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 15))])
def test_every_mutation_is_named(tmp_path: Path, seed: int) -> None:
    sources = {"a.csv": HEADER + rows(0, 90) + b"bad\nM,x,9\n", "b.csv": HEADER + rows(90, 80)}
    delivered(tmp_path, SPLITS, sources)
    rng = random.Random(seed)  # noqa: S311 - a test's own changes
    # Read once: it takes longer than to verify so little.
    by_ledger = read_arguments([str(tmp_path / "out")])
    by_source = read_arguments([str(tmp_path / "out"), "--source", str(tmp_path / "in"), "--split-by", SPLITS])
    for kind in KINDS * 5:
        with mutated(tmp_path / "out", kind, rng) as mutation:
            assert_named(verify(by_ledger), mutation)
            assert_named(verify(by_source), mutation)
        # The ledgers fit what the files hold: only the sources show it.
        with mutated(tmp_path / "out", kind, rng, forge=True) as mutation:
            if not is_other_mixture(mutation):
                assert_named(verify(by_source), mutation)
            assert "content" in unseen(verify(by_ledger))
    assert_well(verify(by_source))


def assert_named(report: Report, mutation: Mutation) -> None:
    named = {finding.path for finding in report.differs.first}
    assert named.issuperset(mutation.paths), (mutation.kind, mutation.paths, texts(report))


def is_other_mixture(mutation: Mutation) -> bool:
    """Whether rows of two sources were exchanged, which may come in any order."""
    if mutation.kind != "swap":
        return False
    [(path, after)] = mutation.after.items()
    pairs = zip(after.splitlines(), mutation.before[path].splitlines(), strict=True)
    changed = [row for row, before in pairs if row != before]
    return len({int(row.rpartition(b",")[2]) < 90 for row in changed}) > 1


def test_the_first_difference_is_told_by_both_lines(tmp_path: Path) -> None:
    delivered(tmp_path, "Sex", {"a.csv": b"Sex,Note\nM,1\nF,2\nM,3\nM,4\n"})
    path = tmp_path / "out" / "Sex" / "M.csv"
    path.write_bytes(path.read_bytes().replace(b"M,3", b"M,5"))
    report = with_sources(tmp_path, split_by="Sex")
    source = tmp_path / "in" / "a.csv"
    [_, finding] = report.differs.first
    assert finding.text == f'Sex/M.csv, line 3 is "M,5", where {source}, line 4 has "M,3"'
    assert finding.fields | {"text": ""} == {
        "what": "row",
        "text": "",
        "path": "Sex/M.csv",
        "line": 3,
        "source": str(source),
        "source_line": 4,
        "found": "M,5",
        "expected": "M,3",
    }


def test_rows_of_sources_that_are_not_given_are_counted_and_summed(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 90) + b"bad\n", "b.csv": HEADER + rows(90, 60) + b"M,x,1\n"})
    given = ["--source", str(tmp_path / "in" / "a.csv"), "--split-by", SPLITS]
    report = verified(tmp_path, *given)
    assert_well(report)
    assert unseen(report) == ["sources"]
    assert "183 rows are of sources that were not given" in report.unseen.first[0].text
    # One of these rows is another, and the ledger fits.
    path = tmp_path / "out" / "all.csv"
    path.write_bytes(path.read_bytes().replace(b",95\n", b",96\n"))
    assert edit(tmp_path, "UPDATE files SET checksum = ? WHERE path = 'all.csv'", crc32(path.read_bytes()))
    [text] = texts(verified(tmp_path, *given))
    assert (
        "split all: 61 rows are of no given source, and the ledger has 61 of other sources, with other checksums"
        in text
    )


@pytest.mark.parametrize("change", [0, 1])
def test_rows_of_forgotten_sources_are_still_counted_and_summed(tmp_path: Path, change: int) -> None:
    sources = {"a.csv": HEADER + rows(0, 40), "b.csv": HEADER + rows(100, 30) + b"too,few\n"}
    delivered(tmp_path, SPLITS, sources)
    for path in (tmp_path / "out").glob(LEDGERS):
        ledger = Ledger(path, is_rejected="rejected" in path.name)
        forgotten = [source for source in ledgers_sources(path) if source.endswith("b.csv")]
        assert ledger.forget(forgotten) == set(forgotten)
        ledger.close()
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE tallies SET checksum = '0' WHERE source = '' AND split = 'Sex' AND ?", (change,))
            database.commit()
    (tmp_path / "in" / "b.csv").unlink()
    report = with_sources(tmp_path)
    assert "91 rows are of sources that were not given (forgotten ones)" in report.unseen.first[-1].text
    if change:
        assert "with other checksums" in texts(report)[0]
    else:
        assert_well(report)
        assert_well(verified(tmp_path))


def ledgers_sources(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [source for (source,) in database.execute("SELECT source FROM sources")]


def test_a_row_that_was_taken_as_ended_before_its_rest_came_is_found(tmp_path: Path) -> None:
    delivery = delivered(tmp_path, SPLITS, {"a.csv": HEADER + b"M,1,1\nF,2,2"})
    with (tmp_path / "in" / "a.csv").open("ab") as file:
        file.write(b"22\nM,3,3\n")
    asyncio.run(delivery.deliver(tmp_path / "in" / "a.csv"))
    assert b"late" in (tmp_path / "out" / "rejected.csv").read_bytes()
    assert_well(with_sources(tmp_path))


def test_what_a_sink_has_not_made_safe_yet_is_told_by_75(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    path = tmp_path / "out" / "all.csv"
    with path.open("ab") as file:
        file.write(b"M,1,30\n")
    assert [verified(tmp_path, *call).exit_code for call in (["--quick"], [])] == [1, 1]
    assert with_sources(tmp_path).exit_code == 1
    # A sink is adding to the files, or was killed while it did. Each reader closes the ledgers that it left open.
    change_ledgers(tmp_path, "UPDATE partition SET value = 'appended to' WHERE name = 'files'")
    assert [verified(tmp_path, *call).exit_code for call in (["--quick"], [], ["--quick"])] == [75, 75, 75]
    assert texts(with_sources(tmp_path)) == ["7 bytes in files are not safe yet"]


def test_a_ledger_of_an_earlier_sink_shows_that_it_is_open_by_its_second_file(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    change_ledgers(tmp_path, "DELETE FROM partition WHERE name = 'files'")
    with (tmp_path / "out" / "all.csv").open("ab") as file:
        file.write(b"M,1,30\n")
    assert verified(tmp_path).exit_code == 1
    with (
        closing(sqlite3.connect(next(tmp_path.glob("out/.nacre/categorized-0.ledger")))) as one,
        closing(sqlite3.connect(next(tmp_path.glob("out/.nacre/categorized-1.ledger")))) as other,
    ):
        for database in (one, other):
            database.execute("UPDATE partition SET value = value")
            database.commit()
        assert verified(tmp_path).exit_code == 75


def test_a_source_that_has_grown_or_is_new_is_under_way(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    with (tmp_path / "in" / "a.csv").open("ab") as file:
        file.write(rows(30, 10))
    (tmp_path / "in" / "new.csv").write_bytes(HEADER + rows(90, 3))
    report = with_sources(tmp_path)
    assert (report.exit_code, [finding.what for finding in report.not_yet.first]) == (75, ["unknown", "grown"])
    sizes = len(HEADER + rows(0, 40)), len(HEADER + rows(0, 30))
    assert texts(report)[1].endswith("in/a.csv has {} bytes, and {} were read up to its latest end".format(*sizes))


@pytest.mark.parametrize("packing", PACK)
def test_of_a_packed_source_the_unpacked_size_says_whether_it_has_grown(tmp_path: Path, packing: str) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": PACK[packing](HEADER + rows(0, 30))})
    assert_well(with_sources(tmp_path))
    (tmp_path / "in" / "a.csv").write_bytes(PACK[packing](HEADER + rows(0, 31)))
    report = with_sources(tmp_path)
    assert (report.exit_code, [finding.what for finding in report.not_yet.first]) == (75, ["grown"])


def with_second_file(folder: Path, first: bytes, second: bytes) -> None:
    """Deliver two files that had the name a.csv in turn."""
    delivered(folder, SPLITS, {"a.csv": first, "b.csv": second})
    for table in ("sources", "tallies", "passed", "ends"):
        assert edit(folder, f"UPDATE {table} SET source = replace(source, 'b.csv', 'a.csv//2')")  # noqa: S608
    (folder / "in" / "b.csv").replace(folder / "in" / "a.csv")


@pytest.mark.parametrize("first", [30, 20])
@pytest.mark.parametrize("packing", PACK)
def test_a_file_that_got_the_name_of_an_earlier_one_is_compared_as_what_it_is(
    tmp_path: Path, first: int, packing: str
) -> None:
    # As many rows, of the same length, or fewer.
    with_second_file(tmp_path, HEADER + rows(10, first), PACK[packing](HEADER + rows(50, 30)))
    report = with_sources(tmp_path)
    assert_well(report)
    assert unseen(report) == ["sources", "receipts"]
    assert str(tmp_path / "in" / "a.csv,") not in report.unseen.first[0].text


@pytest.mark.parametrize("content", [rows(80, 5), rows(80, 30), rows(80, 60)])
def test_a_file_that_is_none_of_those_that_had_its_name_is_not_compared(tmp_path: Path, content: bytes) -> None:
    with_second_file(tmp_path, HEADER + rows(10, 30), HEADER + rows(50, 30))
    (tmp_path / "in" / "a.csv").write_bytes(HEADER + content)
    report = with_sources(tmp_path)
    assert_well(report)
    assert unseen(report)[0] == "unsure"
    assert "a.csv: several files had its name in turn" in report.unseen.first[0].text


def test_a_delivered_file_that_was_moved_is_known_by_its_size(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    (tmp_path / "in" / "a.csv").rename(tmp_path / "in" / "a~2.csv")
    report = with_sources(tmp_path)
    assert_well(report)
    assert report.counts["sources_given"] == 1
    (tmp_path / "in" / "a~2.csv").write_bytes(HEADER + rows(0, 31))
    assert [finding.what for finding in with_sources(tmp_path).not_yet.first] == ["unknown"]


def test_a_source_whose_end_has_not_come_everywhere_is_not_delivered_yet(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30), "b.csv": HEADER + rows(30, 20)})
    assert edit(tmp_path, "DELETE FROM passed WHERE source LIKE '%b.csv' AND split = 'Sex'")
    for report in (verified(tmp_path), with_sources(tmp_path)):
        assert (report.exit_code, report.counts["sources_under_way"]) == (75, 1)
        assert texts(report) == [f"{tmp_path}/in/b.csv: its end has not come everywhere"]


def test_sums_that_do_not_add_up_are_named(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    assert edit(tmp_path, "UPDATE ends SET ended = replace(ended, '\"rows\":30', '\"rows\":31')")
    [balance, receipt] = texts(verified(tmp_path))
    assert "split all: 30 in files + 0 rejected are not 31 rows that were read" in balance
    assert "it says that 30 rows were read" in receipt


def test_a_source_that_has_changed_since_it_was_read_is_named(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    path = tmp_path / "in" / "a.csv"
    path.write_bytes(path.read_bytes().replace(b",29\n", b",28\n"))
    found = texts(with_sources(tmp_path))
    assert f"{path} has other rows in its first" in found[0]
    assert len(found) == 4


def test_a_source_that_leaves_meanwhile_is_told(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30), "b.csv": HEADER + rows(30, 10)})
    arguments = read_arguments([str(tmp_path / "out"), "--source", str(tmp_path / "in"), "--split-by", SPLITS])
    assert arguments.settings is not None
    files = find_given(arguments.sources)
    (tmp_path / "in" / "b.csv").unlink()
    # Nor does any ledger know this one.
    files["/in/new.csv"] = tmp_path / "new.csv"
    report = Report()
    with closing(Ledgers(tmp_path / "out")) as ledgers, closing(Spool()) as spool:
        compare_sources(ledgers, spool, files, arguments.settings, report)
    assert_well(report)
    assert report.counts["sources_given"] == 1
    assert [finding.text for finding in report.unseen.first if finding.what == "left"] == [
        f"{tmp_path}/{name}: it has left meanwhile: its rows are not compared" for name in ("new.csv", "in/b.csv")
    ]
    assert text_at(tmp_path / "in" / "b.csv", 12) == b""


def test_a_receipt_that_says_something_else_is_named(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    [path] = tmp_path.glob("out/_receipts/**/*.json")
    content = path.read_text()
    path.write_text(content.replace('"rows": 30', '"rows": 29'))
    assert "it says that 29 rows were read" in texts(verified(tmp_path))[0]
    path.write_text("no receipt")
    assert "is no receipt" in texts(verified(tmp_path))[0]


def test_receipts_of_sources_that_have_gone_on_meanwhile_are_compared_with_the_ledgers_of_now(tmp_path: Path) -> None:
    delivery = delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    report = Report()
    with closing(Ledgers(tmp_path / "out")) as ledgers:
        with (tmp_path / "in" / "a.csv").open("ab") as file:
            file.write(rows(30, 10))
        asyncio.run(delivery.deliver(tmp_path / "in" / "a.csv"))
        check_receipts(ledgers, report)
        assert texts(report) == []
        # What contradicts those as well is told.
        [path] = tmp_path.glob("out/_receipts/**/*.json")
        path.write_text(path.read_text().replace('"end": 2', '"end": 3'))
        check_receipts(ledgers, report)
    assert "it speaks of end 3, and the ledgers know of 2" in texts(report)[0]


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (("rejected", "codes"), {"quotes": 1}, "of every split 1 quotes are rejected, not 1 fields"),
        (("splits", "Rings", "rejected", "codes"), {}, "of split Rings none are rejected, not 1 number"),
        (("splits", "Rings", "rejected", "checksum"), "0" * 16, "the rejected rows of split Rings have sums"),
        (("splits", "Sex", "checksum"), "0" * 16, "30 rows are in the files of split Sex, not 30, with other sums"),
        (("splits", "Sex"), None, "it has nothing of split Sex"),
        (("splits", "Id"), "Sex", "it has split Id, of which the ledgers know nothing at its end"),
    ],
)
def test_all_of_a_receipt_is_compared(tmp_path: Path, keys: tuple[str, ...], value: object, expected: str) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 29) + b"M,x,9\nbad\n"})
    [path] = tmp_path.glob("out/_receipts/**/*.json")
    receipt = json.loads(path.read_text())
    place = receipt
    for key in keys[:-1]:
        place = place[key]
    if value is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = place[value] if isinstance(value, str) and value in place else value
    path.write_text(json.dumps(receipt))
    assert any(expected in text for text in texts(verified(tmp_path))), texts(verified(tmp_path))


def test_delivered_sources_without_a_receipt_are_counted(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {f"{name}.csv": HEADER + rows(0, 3) for name in "abc"})
    for name in "ab":
        next(tmp_path.glob(f"out/_receipts/**/{name}.csv.json")).unlink()
    report = verified(tmp_path)
    assert_well(report)
    [finding] = [finding for finding in report.unseen.first if finding.what == "receipts"]
    assert finding.text.startswith("2 sources that are delivered have no receipt")


def test_a_file_with_the_name_of_another_category_is_named(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    (tmp_path / "out" / "Sex" / "M.csv").rename(tmp_path / "out" / "Sex" / "N.csv")
    assert edit(tmp_path, "UPDATE files SET path = 'Sex/N.csv' WHERE path = 'Sex/M.csv'")
    for call in (["--quick"], []):
        assert texts(verified(tmp_path, *call)) == [
            "Sex/N.csv is not the path of the category that its ledger has there"
        ]


def test_a_source_in_a_container_is_known_by_the_end_of_its_name(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"x/a.csv": HEADER + rows(0, 30) + b"bad\n", "y/a.csv": HEADER + rows(30, 30)})
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    report = verified(tmp_path, "--source", str(tmp_path / "elsewhere"), "--split-by", SPLITS)
    assert_well(report)
    assert report.counts["sources_given"] == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "nowhere has no ledgers"),
        (["out", "--source", "in"], "SPLIT_BY is not set"),
        (["out", "--source", "none.csv", "--split-by", "*"], "--source none.csv: there is no such file or folder"),
        (["out", "--source", "in", "--split-by", "*", "--delimiter", ";"], "no file has the header of"),
        (["out", "--source", "in", "--split-by", "a:b"], "SPLIT_BY 'a:b'"),
        (["out", "--quick", "--watch"], "--quick reads no file"),
        (["out", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_a_wrong_setting_or_path_is_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 3)})
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 78
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nacre verify: ")
    assert reason in line


def test_a_damaged_ledger_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 3)})
    capsys.readouterr()
    (tmp_path / "out" / ".nacre" / "categorized-0.ledger").write_bytes(b"no ledger\n" * 1_000)
    assert main([str(tmp_path / "out")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "categorized-0.ledger cannot be read" in line


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    capsys.readouterr()
    assert main([str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["result"], found["files"], found["differs"]) == ("well", 11, {"count": 0, "first": []})
    (tmp_path / "out" / "all.csv").unlink()
    assert main([str(tmp_path / "out"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["result"], found["differs"]["first"]) == (
        "differs",
        [{"what": "missing", "text": "all.csv is not there", "path": "all.csv"}],
    )


def test_a_split_that_is_not_in_split_by_is_told(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    report = with_sources(tmp_path, split_by="Sex,*")
    assert_well(report)
    assert [finding.what for finding in report.unseen.first] == ["splits", "files"]
    report = with_sources(tmp_path, split_by="Sex,*,Rings:int,Id")
    assert (report.exit_code, [finding.what for finding in report.not_yet.first]) == (75, ["split"])


def test_rows_without_an_order_are_compared_as_multisets(tmp_path: Path) -> None:
    delivered(tmp_path, SPLITS, {"a.csv": HEADER + rows(0, 30)})
    path = tmp_path / "out" / "all.csv"
    header, *lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + b"".join(reversed(lines)))
    edit(tmp_path, "UPDATE files SET checksum = ? WHERE path = 'all.csv'", crc32(path.read_bytes()))
    assert with_sources(tmp_path).exit_code == 1
    assert_well(with_sources(tmp_path, "--order", "none"))
    path.write_bytes(header + b"".join(lines[:-1]) + lines[0])
    assert any("line 31" in text or "all.csv" in text for text in texts(with_sources(tmp_path, "--order", "none")))


def test_equal_rows_in_several_sources_are_told(tmp_path: Path) -> None:
    delivered(tmp_path, "*", {"a.csv": HEADER + rows(0, 200), "b.csv": HEADER + rows(0, 200)})
    report = with_sources(tmp_path, split_by="*")
    assert_well(report)
    assert unseen(report) == ["equal"]
