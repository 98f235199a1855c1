"""How sources begin: settings that were mended since, dialects that are found out, headers with wrong quotes."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.pipeline import PROJECT, Pipeline

MENDED = {"DELIMITER": ";", "QUOTE": "none"}


def command(pipeline: Pipeline, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A `nacre` command for this pipeline."""
    return subprocess.run(
        [sys.executable, "-m", "ops", *map(str, arguments)],
        cwd=PROJECT,
        env={**pipeline.environment, **settings},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_a_mended_setting_refuses_what_was_begun_and_reads_the_others_with_it(pipeline: Pipeline, folder: Path) -> None:
    begun, rejected, fresh = (folder / f"{name}.csv" for name in ("begun", "rejected", "fresh"))
    begun.write_bytes(b"S;v\nM;1\nF;2\n")
    rejected.write_bytes(b'id;v\n"x" y;1\n"z";2\n"u" w;3\n'.replace(b'"z";2\n', b""))
    assert pipeline.start("ingest", "--once", folder, MAX_REJECTED="100%").wait_for_exit() in (0, 65)
    append(begun, b"M;3\n")
    fresh.write_bytes(b"fresh;n\na;1\nb;2\n")

    told = command(pipeline, "validate", folder, **MENDED)
    assert told.returncode == 1
    assert "DELIMITER was , and is ;" in told.stdout
    assert f"{rejected} was begun with other settings (" in told.stdout
    assert "but no row of it was sent: it is read again from its beginning" in told.stdout

    ingest = pipeline.start("ingest", "--once", folder, **MENDED)
    assert ingest.wait_for_exit() == 1
    [trouble] = ingest.events("source cannot be read")
    assert trouble["source"] == str(begun)
    assert "DELIMITER was , and is ;" in trouble["reason"]
    # Set back, it is read on.
    assert pipeline.start("ingest", "--once", begun).wait_for_exit() == 0

    split = pipeline.start("split", SPLIT_BY="*", EXIT_WHEN_DONE="true")
    pipeline.finish(split, pipeline.start("sink", EXIT_WHEN_DONE="true"))
    files = pipeline.output_files()
    lines = {lines[0]: lines[1:] for name, data in files.items() if name != "rejected.csv" and (lines := data.split())}
    assert lines[b"S;v"] == [b"M;1", b"F;2", b"M;3"]
    assert lines[b"fresh;n"] == [b"a;1", b"b;2"]
    assert rejected.read_bytes() in files.values()
    # rejected.csv still lists the earlier rejections, but they can no longer be mended.
    assert len(list(csv.DictReader(files["rejected.csv"].decode().splitlines()))) == 2
    assert len(command(pipeline, "rejected", "show").stdout.splitlines()) == 1


def test_auto_decides_on_what_grows_slowly_and_one_stray_quote_costs_no_file(pipeline: Pipeline, folder: Path) -> None:
    auto = {"DELIMITER": "auto", "QUOTE": "auto", "SETTLE_S": "600"}
    slow, excel, stray = (folder / f"{name}.csv" for name in ("slow", "excel", "stray"))
    slow.write_bytes(b"id;S;v\n")
    excel.write_bytes(b"sep=;\r\na,x;b\r\n1,5;2,5\r\n")
    stray.write_bytes(b'c,"d\n"1",2\n3,"4,x"\n"5" y,6\n')
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    ingest = pipeline.start("ingest", folder, **auto)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as piped, os.fdopen(writing, "wb", buffering=0) as pipe:
        from_pipe = pipeline.start_ingest_of(piped, DELIMITER="auto")
        pipe.write(b"p|q\n")
        for service in (ingest, from_pipe):
            pipeline.wait_for_event(service, "dialect not detected yet")
        append(slow, b"1;M;a,b\n")
        pipe.write(b"1|2\n")
        expected = {b"id;S;v\n1;M;a,b\n", b"p|q\n1|2\n", b"a,x;b\r\n1,5;2,5\r\n", b'c,"d\n"1",2\n3,"4,x"\n'}

        def are_there() -> bool:
            return pipeline.output.exists() and set(pipeline.output_files().values()) >= expected

        pipeline.wait_until(are_there, "every row of what grows slowly is in its file")
        # What is decided stays so.
        append(slow, b"2;F;a,b;c\n3;F;x\n")
        pipeline.wait_until(
            lambda: b"id;S;v\n1;M;a,b\n3;F;x\n" in pipeline.output_files().values(), "the dialect stays"
        )
    pipeline.finish(from_pipe)
    decided = {event["source"]: event["delimiter"] for event in ingest.events("dialect detected")}
    assert decided == {str(slow): "semicolon", str(excel): "semicolon", str(stray): "comma"}
    [told] = ingest.events("the header's quotes are wrong: its first line is taken as it stands")
    assert told["source"] == str(stray)
    told_of = {
        (Path(row["source"]).name, row["reason"].split(" (")[0])
        for row in csv.DictReader(pipeline.output_files()["rejected.csv"].decode().splitlines())
    }
    assert told_of == {("slow.csv", "4 fields, the header has 3"), ("stray.csv", "text follows a closing quote")}
