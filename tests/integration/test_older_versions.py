"""What an older version left in mid-file, its topics and its output folder, is gone on with byte for byte."""

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.harness import formats
from tests.harness.expectation import rejections
from tests.harness.formats import VARIETIES, Restored, Variety, restored
from tests.harness.pipeline import PROJECT, SERVICES, wait_until

# More than the fixtures have.
_PARTS = 5
_PART_DIGITS = 6


def finish(found: Restored, variety: Variety, *codes: Path) -> None:
    """Carry what is there to its end, each service with a replica of each of these versions."""
    start = partial(found.start, variety, ONCE="true", EXIT_WHEN_DONE="true")
    processes = [start(name, code) for name in SERVICES for code in codes]
    wait_until(lambda: all(process.poll() is not None for process in processes), "all have ended")
    logs = {path.name: path.read_text() for path in found.folder.glob("*.log")}
    assert [process.returncode for process in processes] == [0] * len(processes), logs


def check(found: Restored, variety: Variety) -> None:
    files = whole_files(found.output(variety))
    check_rejected(files.pop("rejected.csv"))
    expected = formats.expected_files(_PARTS)
    assert sorted(files) == sorted(expected)
    for path, content in expected.items():
        assert b"".join(files[path]) == content, path
    verified = command(found, variety, "verify", str(found.output(variety)), "--source", str(found.folder / "in"))
    assert verified.returncode == 0, verified


def check_tapped(found: Restored, variety: Variety, format_name: str) -> None:
    """`nacre tap` shows every row with the place that its line has in its source."""
    read = partial(command, found, variety, "tap")
    for row in (rows := objects(read("-n", "100000", "--json").stdout)):
        content = (found.folder / "in" / Path(row["source"]).name).read_bytes()
        assert row["line"] == content[: row["offset"]].count(b"\n") + 1
        text = row["row"]
        if variety.settings.get("ROW_FORMAT") == "json":
            fields = [str(value) for value in json.loads(text).values()]
            assert content[row["offset"] :].startswith(",".join(fields[:2]).encode())
        else:
            assert content[row["offset"] :].startswith(text.encode())
    assert len(rows) == found.rows(variety, "rows") > 1_000
    sources = {row["source"] for row in rows}
    assert sources == {f"{formats.INPUT}/{source}" for source in formats.HEADERS}
    categorized = objects(read("categorized", "--split", "Sex", "--category", "M", "-n", "10", "--json").stdout)
    assert {row["key"] for row in categorized} == {"Sex=M"}
    assert {row["source"] for row in categorized} <= ({None} if format_name == "1" else sources)
    rejected = objects(read("rejected", "--json").stdout)
    assert {row["row"].startswith("one,field,too,many") for row in rejected} == {True}
    by_source = read("categorized", "--source", "a.csv", "--json")
    assert (by_source.returncode, bool(by_source.stdout)) == ((78, False) if format_name == "1" else (0, True))


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def whole_files(folder: Path) -> dict[str, list[bytes]]:
    """The pieces of each file, rolled or not, by its path without rolling; the header once."""
    files: dict[str, list[bytes]] = {}
    for path in sorted(path for path in folder.rglob("*.csv") if ".nacre" not in path.parts):
        is_rolled = path.stem.isdecimal() and len(path.stem) == _PART_DIGITS
        whole = path.parent.with_name(f"{path.parent.name}.csv") if is_rolled else path
        content = path.read_bytes()
        pieces = files.setdefault(str(whole.relative_to(folder)), [])
        pieces.append(content.partition(b"\n")[2] if pieces else content)
    return files


def check_rejected(pieces: Sequence[bytes]) -> None:
    lines = [(source, line) for source in formats.HEADERS for line in formats.lines(source, _PARTS) if not line.paths]
    found = rejections(b"".join(pieces))
    assert sorted(row["row"].encode() for row in found) == sorted(line.content.rstrip(b"\r\n") for _, line in lines)
    assert {row["source"] for row in found} == {f"{formats.INPUT}/{source}" for source, _ in lines}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", formats.names())
def test_what_an_older_version_left_in_mid_file_is_shown_by_tap_and_gone_on_with(name: str, tmp_path: Path) -> None:
    with restored(name, tmp_path) as found:
        for variety in VARIETIES:
            check_tapped(found, variety, name)
        found.write(_PARTS)
        for variety in VARIETIES:
            finish(found, variety, PROJECT)
            check(found, variety)
            # In its format nothing is written of the whole folder, and no receipt.
            written = {path.name for path in found.output(variety).iterdir()}
            assert ({"manifest-sha256.txt", "datapackage.json", "_SUCCESS", "_receipts"} <= written) == (name != "1")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", formats.names())
def test_replicas_of_an_older_version_and_of_this_one_share_the_work(name: str, tmp_path: Path) -> None:
    with restored(name, tmp_path) as found:
        found.write(_PARTS)
        for variety in VARIETIES:
            finish(found, variety, found.folder / "code", PROJECT)
            check(found, variety)


def check_that_what_a_later_version_began_is_refused(found: Restored) -> None:
    begun = Variety("begun", {})
    assert found.start(begun, "ingest", ONCE="true").wait(60) == 0
    for service in SERVICES:
        process = found.start(begun, service, found.folder / "code")
        assert process.wait(60) == 1
        log = (found.folder / f"begun-{service}.log").read_text()
        assert "of format 2, and this version reads format 1: run the version that wrote it" in log


def command(found: Restored, variety: Variety, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=PROJECT,
        env=found.environment(variety),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def upgrade(found: Restored, variety: Variety) -> "subprocess.CompletedProcess[str]":
    return command(found, variety, "upgrade")


def has_logged(log: Path, text: str) -> bool:
    return text in log.read_text()


def is_refused(found: Restored, variety: Variety, why: str) -> bool:
    done = upgrade(found, variety)
    assert done.returncode == 1, done
    return done.stderr == why


@pytest.mark.timeout(300)
def test_the_first_format_refuses_what_began_in_a_later_one_and_goes_on_in_it_once_it_is_upgraded(
    tmp_path: Path,
) -> None:
    with restored("1", tmp_path) as found:
        check_that_what_a_later_version_began_is_refused(found)
        found.write(_PARTS)
        for variety in VARIETIES:
            sink = found.start(variety, "sink")
            log = found.folder / f"{variety.name}-sink.log"
            wait_until(partial(has_logged, log, '"event":"ready"'), "sink is ready")
            # The broker takes those that were killed for alive for some seconds.
            has_sink = f"nacre upgrade: group {variety.name}.sink has members: stop every sink first\n"
            wait_until(partial(is_refused, found, variety, has_sink), "sink is the only one left")
            sink.terminate()
            assert sink.wait(60) == 0
            done = upgrade(found, variety)
            assert (done.returncode, done.stderr) == (0, "")
            assert upgrade(found, variety).stdout == f"{variety.name}.* is in format 2 already\n"
            finish(found, variety, PROJECT)
            check(found, variety)
            old = found.start(variety, "sink", found.folder / "code")
            assert old.wait(60) == 1
            assert "of format 2, and this version reads format 1: run the version that wrote it" in log.read_text()
        [header, *_] = formats.HEADERS.values()
        (found.folder / "in" / "late.csv").write_bytes(header + b"M,1,7\n")
        for variety in VARIETIES:
            finish(found, variety, PROJECT)
            # What began before has no receipt, because the first format does not say whose a row is.
            [receipt] = found.output(variety).joinpath("_receipts").rglob("*.json")
            assert receipt.name == "late.csv.json"
