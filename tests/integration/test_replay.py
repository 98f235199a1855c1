"""`nacre rejected` for real: rows that were rejected are mended and come to their files, each exactly once."""

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from tests.harness.commands import run_nacre
from tests.harness.expectation import rejections
from tests.harness.pipeline import PROJECT, Pipeline, wait_until

HEADER = b"Sex,Rings\n"
SPLITS = "*,Sex,Rings:int"
# In most of these a split rejects all that it gets.
PERMITTED = {"MAX_REJECTED": "100%"}


def run_rejected(pipeline: Pipeline, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return run_nacre(pipeline, "rejected", *arguments, given=given)


def environment(pipeline: Pipeline) -> dict[str, str]:
    return {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": pipeline.bootstrap, "TOPIC_PREFIX": pipeline.prefix}


def begin_replay(pipeline: Pipeline) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ops", "rejected", "replay", "--yes"],
        cwd=PROJECT,
        env=environment(pipeline),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def notes(pipeline: Pipeline) -> Counter[bytes]:
    """How often each rejected row was noted to be replayed."""
    records = pipeline.observer.rejected()
    return Counter(record.headers["replayed"] for record in records if "replayed" in record.headers)


def show(pipeline: Pipeline, *filters: str) -> list[dict[str, str]]:
    shown = run_rejected(pipeline, "show", *filters)
    assert shown.returncode == 0, shown.stderr
    return rejections(shown.stdout)


def as_file(rows: list[dict[str, str]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode("latin-1")


def carry_on(pipeline: Pipeline, split_by: str = SPLITS, **settings: str) -> dict[str, bytes]:
    """Let split and sink carry what is there."""
    settings |= PERMITTED
    split = pipeline.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true", **settings)
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true", **settings)
    pipeline.finish(split, sink)
    return pipeline.output_files()


def write(tmp_path: Path, *rows: bytes) -> Path:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"".join(row + b"\n" for row in rows))
    return source


@pytest.mark.parametrize("row_format", ["csv", "json"])
def test_mended_rows_come_to_the_splits_that_lack_them(pipeline: Pipeline, tmp_path: Path, row_format: str) -> None:
    pipeline.run(write(tmp_path, b"M,1", b"F,x", b"I", b"M,2"), SPLITS, ROW_FORMAT=row_format)
    before = pipeline.output_files()
    listed = [json.loads(line) for line in run_rejected(pipeline, "list", "--json").stdout.splitlines()]
    assert [(group["split"], group["rows"], group["replayed"]) for group in listed] == [("", 1, 0), ("Rings", 1, 0)]
    rows = show(pipeline)
    mended = [row | {"row": {"I": "I,3", "F,x": "F,4"}[row["row"]]} for row in rows]

    ends = pipeline.observer.ends("rows"), pipeline.observer.ends("rejected")
    dry = run_rejected(pipeline, "replay", "--from", "-", given=as_file(mended))
    assert (dry.returncode, b"--yes" in dry.stdout) == (0, True), dry.stderr
    assert (pipeline.observer.ends("rows"), pipeline.observer.ends("rejected")) == ends

    for attempt in range(2):
        sent = run_rejected(pipeline, "replay", "--from", "-", "--yes", given=as_file(mended))
        assert sent.returncode == 0, sent.stderr
        assert (b"2 rows were replayed before" in sent.stdout) == (attempt == 1)
    assert show(pipeline) == []
    assert len(show(pipeline, "--all")) == 2
    expected = before | {
        "all.csv": before["all.csv"] + b"I,3\n",
        "Sex/I.csv": HEADER + b"I,3\n",
        "Rings/3.csv": HEADER + b"I,3\n",
        "Rings/4.csv": HEADER + b"F,4\n",
    }
    assert carry_on(pipeline) == expected
    listed = [json.loads(line) for line in run_rejected(pipeline, "list", "--json").stdout.splitlines()]
    assert [(group["rows"], group["replayed"]) for group in listed] == [(1, 1), (1, 1)]


def test_what_is_rejected_again_is_a_new_record_and_waits(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run(write(tmp_path, b"M,1", b"F,x"), SPLITS, **PERMITTED)
    [first] = show(pipeline)
    assert run_rejected(pipeline, "replay", "--yes").returncode == 0
    files = carry_on(pipeline)
    assert len(rejections(files["rejected.csv"])) == 2
    [again] = show(pipeline)
    assert int(again["id"]) > int(first["id"])
    assert {name: again[name] for name in ("source", "line", "offset", "split", "row")} == {
        name: first[name] for name in ("source", "line", "offset", "split", "row")
    }
    # SPLIT_BY is mended, under another name: that split is filled with all rows, so nothing is replayed for it.
    files = carry_on(pipeline, "*,Sex,Rings2=Rings")
    assert files["Rings2/x.csv"] == HEADER + b"F,x\n"
    assert files["all.csv"] == HEADER + b"M,1\nF,x\n"
    assert show(pipeline) == [again]


def test_a_split_that_is_no_more_rejects_again(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run(write(tmp_path, b"F,x"), SPLITS, **PERMITTED)
    assert run_rejected(pipeline, "replay", "--yes").returncode == 0
    carry_on(pipeline, "*,Sex")
    [again] = show(pipeline)
    assert (again["split"], again["row"]) == ("Rings", "F,x")
    assert "SPLIT_BY does not have" in again["reason"]


def test_rows_that_cannot_go_are_told_and_the_others_go(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run(write(tmp_path, b"I", b"F,x"), SPLITS, **PERMITTED)
    told = run_rejected(pipeline, "replay", "--yes")
    assert told.returncode == 1
    assert b"mend them first" in told.stderr
    assert [row["row"] for row in show(pipeline)] == ["I"]
    [row] = show(pipeline)
    for changes in ({"row": "I,1,2"}, {"row": "I,1\nF,2"}, {"row": "I,1", "line": "77"}, {"row": "I,1", "id": "999"}):
        ends = pipeline.observer.ends("rows")
        told = run_rejected(pipeline, "replay", "--from", "-", "--yes", given=as_file([row | changes]))
        assert (told.returncode, len(told.stderr.splitlines())) == (1, 1)
        assert pipeline.observer.ends("rows") == ends
    assert run_rejected(pipeline, "replay", "--from", str(tmp_path / "none.csv")).returncode == 78
    assert run_rejected(pipeline, "list", "--what").returncode == 78


def check_rejected_once_more(pipeline: Pipeline, rows: int) -> None:
    """Each replayed row has come to the split that had rejected it once, and to no other."""
    files = carry_on(pipeline, "*,Rings:int")
    again = [rejected["row"] for rejected in show(pipeline)]
    assert len(again) == len(set(again)) == rows
    assert files["all.csv"].count(b"\n") == rows + 1


@pytest.mark.long
def test_a_replay_that_is_killed_is_gone_on_with(pipeline: Pipeline, tmp_path: Path) -> None:
    rows = 20_000
    pipeline.run(write(tmp_path, *(b"%d,x" % number for number in range(rows))), "*,Rings:int", **PERMITTED)
    rejected = len(show(pipeline))
    assert rejected == rows
    kills = 0
    for _ in range(3):
        end = sum(pipeline.observer.ends("rejected"))
        process = begin_replay(pipeline)
        wait_until(
            lambda end=end, process=process: (  # type: ignore[misc]  # bound, not free
                process.poll() is not None or sum(pipeline.observer.ends("rejected")) > end
            ),
            "a note appears",
        )
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills
    finished = run_rejected(pipeline, "replay", "--yes")
    assert finished.returncode == 0, finished.stderr
    noted = notes(pipeline)
    assert len(noted) == rows
    assert set(noted.values()) == {1}
    check_rejected_once_more(pipeline, rows)


def test_a_replay_that_is_overtaken_says_so_in_one_line_and_sends_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run(write(tmp_path, b"F,x"), SPLITS, **PERMITTED)
    overtaken = subprocess.run(
        [sys.executable, "-m", "tests.harness.overtaken_replay", "rejected", "replay", "--yes"],
        cwd=PROJECT,
        env=environment(pipeline),
        capture_output=True,
        check=False,
        timeout=180,
    )
    assert overtaken.stderr == (
        b"nacre rejected: another replay has begun, and goes on with the rest, or this one was held up for longer than "
        b"TRANSACTION_TIMEOUT_S: once no other runs, run it again to go on with it\n"
    )
    assert overtaken.returncode == 1
    assert notes(pipeline) == {}


@pytest.mark.long
@pytest.mark.parametrize("overlap", ["begun together", "begun while another sends"])
def test_replays_at_the_same_time_send_each_row_once_and_tell_who_goes_on(
    pipeline: Pipeline, tmp_path: Path, record_property: Callable[[str, object], None], overlap: str
) -> None:
    rows = 10_000
    pipeline.run(write(tmp_path, *(b"%d,x" % number for number in range(rows))), "*,Rings:int", **PERMITTED)
    end = sum(pipeline.observer.ends("rejected"))
    replays = [begin_replay(pipeline)]
    if overlap == "begun while another sends":
        wait_until(lambda: sum(pipeline.observer.ends("rejected")) > end, "a note appears")
    replays.append(begin_replay(pipeline))
    told = [process.communicate(timeout=180) for process in replays]
    codes = [process.returncode for process in replays]
    # The last replay has done all that was left; an earlier one is done too, or was told of the other.
    assert 0 in codes, told
    for code, (out, err) in zip(codes, told, strict=True):
        assert code == 0 or (code == 1 and b"another replay has begun, and goes on with the rest" in err), (out, err)
    record_property(f"replays fenced, {overlap}", codes.count(1))
    noted = notes(pipeline)
    assert len(noted) == rows
    assert set(noted.values()) == {1}
    check_rejected_once_more(pipeline, rows)


@pytest.mark.long
def test_rows_of_a_source_that_is_spread_over_all_partitions_are_replayed_once(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    rows = [b"%d,%s" % (number, b"x" if number % 10 == 0 else b"1") for number in range(5_000)]
    settings = {"ORDER": "none", "PARTITIONS": "3"}
    pipeline.run(write(tmp_path, *rows), "*,Rings:int", **settings)
    assert all(pipeline.observer.ends("rows"))
    for attempt in range(2):
        sent = run_rejected(pipeline, "replay", "--yes")
        assert sent.returncode == 0, sent.stderr
        assert (b"500 rows were replayed before" in sent.stdout) == (attempt == 1)
    assert set(notes(pipeline).values()) == {1}
    files = carry_on(pipeline, "*,Rings:int", PARTITIONS="3")
    assert sorted(files["all.csv"].splitlines()[1:]) == sorted(rows)
    assert sorted(again["row"].encode() for again in show(pipeline)) == sorted(rows[::10])
    assert sorted(files["Rings/1.csv"].splitlines()[1:]) == sorted(row for row in rows if row.endswith(b",1"))


@pytest.mark.long
def test_notes_of_a_replay_may_expire_once_sink_has_passed_them(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run(write(tmp_path, b"M,1", b"F,x"), SPLITS, **PERMITTED)
    mended = [row | {"row": "F,4"} for row in show(pipeline)]
    assert run_rejected(pipeline, "replay", "--from", "-", "--yes", given=as_file(mended)).returncode == 0
    files = carry_on(pipeline)
    end = pipeline.observer.ends("rejected", committed=True)[0]
    [expired] = pipeline.observer.admin.delete_records([TopicPartition(f"{pipeline.prefix}rejected", 0, end)]).values()
    expired.result(10)
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true")
    pipeline.finish(sink)
    assert pipeline.output_files() == files
