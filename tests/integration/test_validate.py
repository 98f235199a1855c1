"""`nacre validate` for real: what it tells is what the services do then, and it sends and creates nothing."""

import gzip
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka.cimpl import NewTopic

from ops.kafka.local import LocalKafka
from tests.harness.broker import free_port, hanging
from tests.harness.expectation import rejections
from tests.harness.pipeline import ABALONE_FILE, PROJECT, Pipeline

TOPICS = ("rows", "categorized", "rejected", "schemas", "progress", "sources", "shares", "receipts")
MIXED = {
    "a.csv": b'Sex,Rings,Note\nM,7,"two\nlines"\n\nF,x,-\nI,9\nF,"not closed,1\nM,,\n',
    "b.csv": b"Sex,Rings,Note\r\nM,07,\r\nF,3,\xe4\r\n",
    "sub/c.csv": b"Note,Sex,Weight\nx,M,1.5\ny,,2\n",
    "empty.csv": b"",
}
# Runs the command and writes the most memory that it had, in KiB. Not by getrusage, which counts the parent's as well.
MEASURED = """
import pathlib, re, sys
from ops.__main__ import main
code = main()
sys.stderr.write(re.search("VmHWM: *\\t *([0-9]+)", pathlib.Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


def validate(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", "validate", *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def validate_for(pipeline: Pipeline, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return validate(*arguments, KAFKA_BOOTSTRAP_SERVERS=pipeline.bootstrap, TOPIC_PREFIX=pipeline.prefix, **settings)


def lines_of(answer: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines without the blanks that put columns below each other."""
    return [" ".join(line.split()) for line in answer.stdout.splitlines()]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name, content in MIXED.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_good_file_is_told_about_and_nothing_is_created(pipeline: Pipeline) -> None:
    answer = validate_for(pipeline, ABALONE_FILE, SPLIT_BY="*,Sex,Rings:int")
    assert (answer.returncode, answer.stderr) == (0, "")
    lines = lines_of(answer)
    assert "data/abalone_full.csv 4,177 0 1" in lines
    assert "schema 1: 9 columns, delimiter comma, quote double, line ending LF, encoding utf-8" in lines
    assert {"1 Sex text 0", "2 Length float 0", "9 Rings int 0"} <= set(lines)
    assert "all 1 4,177 0 all.csv 4,177" in lines
    assert "Sex 3 4,177 0 Sex/M.csv 1,528 Sex/I.csv 1,342 Sex/F.csv 1,307" in lines
    longest = max(map(len, ABALONE_FILE.read_bytes().splitlines()[1:]))
    assert lines[-1] == f"✓ the longest row has {longest} bytes of at most 900,000, and record batches fit"
    assert f"✓ none of 8 topics {pipeline.prefix}* exist; the services create them with PARTITIONS=6" in lines
    # Piped it is plain text.
    assert "\x1b" not in answer.stdout
    assert all(line == line.rstrip() for line in answer.stdout.splitlines())
    assert not any(pipeline.observer.partitions(topic) for topic in TOPICS)


def named_files(line: str) -> set[str]:
    """The files that a split's line names, each with its rows behind it."""
    return set(re.findall(r"(\S+\.csv) \d", line))


def without_number(path: str) -> str:
    return re.sub(r"~\d+\.csv$", ".csv", path)


@pytest.mark.parametrize("row_format", ["csv", "json"])
def test_the_services_do_what_was_told(pipeline: Pipeline, mixed: Path, row_format: str) -> None:
    splits = {"*": "all", "Sex": "Sex", "Rings:int": "Rings", "Note": "Note"}
    settings = {"SPLIT_BY": ",".join(splits), "ROW_FORMAT": row_format}
    told = validate_for(pipeline, mixed, **settings)
    assert (told.returncode, told.stderr) == (1, "")
    pipeline.run(mixed, settings["SPLIT_BY"], ROW_FORMAT=row_format)
    files = pipeline.output_files()
    rejected = rejections(files.pop("rejected.csv"))
    ends = [pipeline.observer.ends(topic) for topic in TOPICS]
    again = validate_for(pipeline, mixed, **settings)

    folders = Counter(path.partition("/")[0] if "/" in path else "all" for path in files)
    for name in splits.values():
        refused = sum(row["split"] == name for row in rejected)
        [before], [after] = (
            [line for line in lines_of(answer) if named_files(line) and line.split()[0] == name]
            for answer in (told, again)
        )
        assert [before.split()[1], before.split()[3]] == [str(folders[name]), str(refused)]
        # The order in which ingest meets new schemas is known only afterwards.
        assert set(map(without_number, named_files(before))) <= set(map(without_number, files))
        assert named_files(after) <= set(files)
    for row in rejected:
        where = row["split"] or "every split"
        place = f"{row['source']}:{row['line']}"
        assert any(line.startswith(f"{where} ") and row["reason"] in line and place in line for line in lines_of(told))
    [bad] = [line for line in lines_of(told) if "cannot be read and would be rejected" in line]
    assert bad.startswith(f"✗ {sum(not row['split'] for row in rejected)} of ")

    # validate knows what an earlier run has left, and asking has created nothing.
    assert "which may be in another order" in told.stdout
    assert "which may be in another order" not in again.stdout
    assert again.stdout.count("known from an earlier run") == 3
    assert f"✓ all 8 topics {pipeline.prefix}* exist, with PARTITIONS=6" in lines_of(again)
    assert [pipeline.observer.ends(topic) for topic in TOPICS] == ends


def test_schemas_of_a_folder_are_told_apart(mixed: Path) -> None:
    lines = lines_of(validate(mixed, "--no-broker"))
    assert "differs from schema 1: line ending CRLF, not LF" in lines
    assert "differs from schema 1: added Weight; missing Rings; columns in another order" in lines
    assert any(line.startswith("note: 1 row is not UTF-8, the first at ") for line in lines)


def test_topics_that_do_not_fit_are_told(pipeline: Pipeline) -> None:
    rows, schemas = pipeline.prefix + "rows", pipeline.prefix + "schemas"
    new = [NewTopic(rows, 4, config={"max.message.bytes": "500000"}), NewTopic(schemas, 1)]
    for created in pipeline.observer.admin.create_topics(new).values():
        created.result(30)
    answer = validate_for(pipeline, ABALONE_FILE)
    assert answer.returncode == 1
    assert f"✗ topic {rows} has 4 partitions, PARTITIONS says 6: set PARTITIONS=4" in answer.stdout
    assert f"✗ topic {rows} takes 500000 bytes at once, MAX_ROW_BYTES=900000 needs 1000000" in answer.stdout
    assert validate_for(pipeline, ABALONE_FILE, "--no-broker").returncode == 0


@pytest.mark.alone
def test_a_broker_that_is_not_there_or_does_not_answer_is_told_in_seconds(own_kafka: LocalKafka) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    answer = validate(ABALONE_FILE, KAFKA_BOOTSTRAP_SERVERS=nowhere)
    assert (answer.returncode, answer.stderr) == (1, "")
    assert f"✗ no broker answers at {nowhere}: " in answer.stdout
    with hanging(own_kafka):
        began = time.monotonic()
        answer = validate(ABALONE_FILE, KAFKA_BOOTSTRAP_SERVERS=own_kafka.bootstrap)
        assert time.monotonic() - began < 15
    assert (answer.returncode, answer.stderr) == (1, "")
    assert f"✗ no broker answers at {own_kafka.bootstrap}: no answer within 5 s" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param([], "INPUT is not set", id="no-input"),
        pytest.param(["-"], "INPUT -", id="standard-input"),
        pytest.param(["/not/there.csv"], "INPUT /not/there.csv", id="not-there"),
        pytest.param([ABALONE_FILE, "--split-by=Rings:integer"], "SPLIT_BY", id="unknown-type"),
        pytest.param([ABALONE_FILE, "--delimiter=ab"], "DELIMITER", id="no-delimiter"),
        pytest.param(
            [ABALONE_FILE, "--kafka-security-protocol=SSL", "--kafka-ssl-ca-location=/not/there"],
            "KAFKA_SSL_CA_LOCATION",
            id="no-authority",
        ),
    ],
)
def test_a_wrong_setting_is_exit_78_and_one_line_that_names_it(arguments: list[str | Path], named: str) -> None:
    answer = validate(*arguments)
    assert (answer.returncode, answer.stdout) == (78, "")
    [line] = answer.stderr.splitlines()
    assert line.startswith("nacre validate: ")
    assert named in line


def test_a_folder_without_a_file_is_not_well(tmp_path: Path) -> None:
    answer = validate("--no-broker", tmp_path)
    assert answer.returncode == 1
    assert answer.stdout.strip() == f"✗ there is no *.csv file at INPUT {tmp_path}"


def test_a_dialect_that_is_found_out_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("made by hand\n" + "name;when\n" + "".join(f"'n;{n}';2026-01-{n % 28 + 1:02}\n" for n in range(99)))
    answer = validate(path, "--no-broker", DELIMITER="auto", QUOTE="auto", SKIP_LINES="1")
    assert answer.returncode == 0
    lines = lines_of(answer)
    found_out = "delimiter semicolon, quote single, line ending LF, encoding utf-8 (delimiter and quote detected)"
    assert f"schema 1: 2 columns, {found_out}" in lines
    assert "2 when date 0" in lines


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
def test_a_large_file_takes_little_memory_and_an_endless_line_is_told(tmp_path: Path) -> None:
    row = b"%d," + b"x" * 1000 + b"\n"
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"n,text\n")
        file.writelines(row % number for number in range(300_000))
    answer = subprocess.run(
        [sys.executable, "-c", MEASURED, "validate", str(path), "--no-broker", "--split-by=n:int"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    assert "n more than 100,000 300,000 0 " in " ".join(lines_of(answer))
    assert int(answer.stderr) < path.stat().st_size / 1024
    path.write_bytes(b"a,b\n" + b"x" * 70_000_000)
    answer = validate(path, "--no-broker")
    assert answer.returncode == 1
    assert f"✗ {path}: line 2, from byte 4 on, does not end within 67108864 bytes" in answer.stdout


def test_a_compressed_file_is_judged_by_what_is_in_it(tmp_path: Path) -> None:
    packed = tmp_path / "abalone.csv.gz"
    packed.write_bytes(gzip.compress(ABALONE_FILE.read_bytes()))
    assert "✓ 4,177 rows in 1 source can be read" in validate(packed, "--no-broker").stdout
