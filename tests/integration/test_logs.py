"""Every log line names its process, each committed batch is one at debug, and none above debug shows a row."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.pipeline import SERVICES, Pipeline, Service

# In every row, and in nothing else.
MARKER = "zanzibar"
ODD_HEADER = f"Sex,Rings,\x1b[31mNote\x07,{'long' * 2_000}"
FILES = {
    "good.csv": "Sex,Rings,Note\n" + "".join(f"{'MF'[n % 2]},{n % 7},{MARKER} {n}\n" for n in range(20_000)),
    "odd.csv": f"{ODD_HEADER}\nM,1,{MARKER},x\nF,2,{MARKER},y\n",
    # Too few fields, quotes that are wrong, a blank line, half a row, and no number where a split asks for one.
    "rejected.csv": f'Sex,Rings,Note\n{MARKER}\n"{MARKER}" x,1,2\n\nF,{MARKER},y\nM,3,"{MARKER}',
    "none.csv": f"Sex,Rings,Note\n{MARKER}\n{MARKER},{MARKER}\n",
    "quotes.csv": f'Sex,"Rings,Note\nM,1,{MARKER}\n',
}
BAD_FILES = {
    "wide.csv": f"Sex,Rings,Note\nM,1,{MARKER}\n".encode("utf-16"),
    "zipped.csv": b"PK\x03\x04" + MARKER.encode() * 10,
    "json.csv": f'[{{"Sex": "{MARKER}"}}]'.encode(),
    "long.csv": MARKER.encode() * 200_000,
    "packed.csv.gz": b"\x1f\x8b\x08" + MARKER.encode() * 10,
}
IN_A_TASK = {"partition taken up", "checkpoint committed", "source opened", "source ended"}
# Far fewer than rows: a few for each file, partition and change of state.
MOST_LINES = 120


def lines_of(service: Service) -> list[dict[str, Any]]:
    """Every line, which is one JSON object."""
    return [json.loads(line) for line in service.log().split("\n")[:-1]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What has rows, and what only looks as if it had."""
    made = tmp_path / "in"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    for name, data in BAD_FILES.items():
        (made / name).write_bytes(data)
    return made


@pytest.fixture
def services(pipeline: Pipeline, folder: Path) -> dict[str, Service]:
    """The services at debug, once all have ended by themselves."""
    started = {
        name: pipeline.start(
            name,
            INPUT=str(folder),
            ONCE="true",
            EXIT_WHEN_DONE="true",
            SPLIT_BY="Sex,Rings:int,bad=#3:int",
            LOG_LEVEL="debug",
        )
        for name in SERVICES
    }
    # Some files cannot be read, and one split rejects every row.
    assert [started[name].wait_for_exit() for name in SERVICES] == [1, 65, 0]
    return started


def test_every_line_names_its_process_and_none_above_debug_shows_a_row(services: dict[str, Service]) -> None:
    for name, service in services.items():
        lines = lines_of(service)
        [starting] = [line for line in lines if line["event"] == "starting"]
        assert {(line.get("service"), line.get("replica")) for line in lines} == {(name, starting["replica"])}
        above = [line for line in lines if line["level"] != "debug"]
        assert {line["event"] for line in above} >= {"starting", "ready", "partitions assigned"}
        assert [line for line in above if MARKER in json.dumps(line)] == []
        assert len(above) < MOST_LINES
        without = [line for line in lines if line["event"] in IN_A_TASK and len(line.get("partitions", ())) != 1]
        assert without == []
    assert "\x1b" not in services["ingest"].log()


def test_each_committed_batch_is_a_line_at_debug(pipeline: Pipeline, services: dict[str, Service]) -> None:
    # Schemas are committed as well, by whichever task needs them, or before there is any.
    schemas = [f"{pipeline.prefix}schemas-0"]
    ingested, split = (
        [line for line in services[name].events("committed") if line["to"] != schemas] for name in ("ingest", "split")
    )
    checkpoints = services["sink"].events("checkpoint committed")
    for line in (*ingested, *split, *checkpoints):
        [partition] = line["partitions"]
        assert partition.startswith(pipeline.prefix)
        assert line["level"] == "debug"
    assert sum(line["records"] for line in ingested) > 20_000
    assert f"{pipeline.prefix}rows" in {name.rpartition("-")[0] for line in ingested for name in line["to"]}
    # Three splits take a row each, or reject it.
    assert sum(line["records"] for line in split) > 3 * 20_000
    assert {line["offset"] > 0 for line in split if line["records"] > 1} == {True}
    assert any(line["files"] and line["offset"] for line in checkpoints)


def test_what_is_rejected_is_said_without_the_value(services: dict[str, Service]) -> None:
    [line] = services["split"].events("cannot go on")
    assert "split bad: every row was rejected" in line["reason"]
    assert "(the first one: #3: not an int)" in line["reason"]


def test_at_info_no_batch_is_logged(pipeline: Pipeline, folder: Path) -> None:
    pipeline.run(folder / "good.csv", "Sex")
    for service in pipeline.services:
        assert "debug" not in {line["level"] for line in lines_of(service)}
        assert len(lines_of(service)) < MOST_LINES


def test_at_info_hostile_rows_leave_nothing_in_the_log(pipeline: Pipeline, folder: Path) -> None:
    # As a category, of many lengths, beside what is no path, no text, no number, and too few or too many fields.
    rows = "".join(f"{MARKER}{'x' * (n % 300)}/../{n % 50},{n}\n" for n in range(2_000))
    bad = f"\x1b[31m{MARKER}\r\n\x00,1\n{MARKER},{MARKER}\n{MARKER}\n{MARKER},1,{MARKER}\n".encode() + b"\xff\xfe,3\n"
    (folder / "hostile.csv").write_bytes(f"Sex,Rings\n{rows}".encode() + bad + f'"{MARKER}'.encode())
    settings = {"ENCODING": "utf-8", "ROW_FORMAT": "json", "ROLL_ROWS": "500", "COMPRESS": "gzip"}
    pipeline.run(folder / "hostile.csv", "Sex,Rings:int", MAX_REJECTED="100%", **settings)
    for service in pipeline.services:
        assert MARKER not in service.log()
