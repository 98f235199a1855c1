"""`nacre tap` for real: the rows that are there and those that come; looking changes nothing on the broker."""

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from ops.kafka.local import LocalKafka
from tests.harness.broker import free_port
from tests.harness.pipeline import ABALONE_FILE, PROJECT, Pipeline, wait_until

COMMAND = [sys.executable, "-m", "ops", "tap"]
HEADER = b"Sex,Text,Rings\n"
LEFT_OUT = re.compile(r"^nacre tap: left out ([\d,]+) rows, more than --rate (\d+) a second$", re.MULTILINE)
# At most what a pipe holds.
FULL_BYTES = 60_000


def environment(pipeline: Pipeline) -> dict[str, str]:
    return {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": pipeline.bootstrap, "TOPIC_PREFIX": pipeline.prefix}


def tap(pipeline: Pipeline, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = run_tap(environment(pipeline), *arguments)
    assert done.returncode == 0, done.stderr
    return done


def run_tap(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@dataclass(frozen=True)
class Follower:
    """A tap that follows, and the files that it writes to."""

    process: "subprocess.Popen[bytes]"
    rows_path: Path
    notes_path: Path

    @property
    def rows(self) -> list[str]:
        """The lines that it has written whole."""
        return [line for line in self.rows_path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    @property
    def notes(self) -> str:
        """What it has noted."""
        return self.notes_path.read_text()

    def wait_for_note(self, text: str) -> None:
        """Wait until it has noted this."""
        wait_until(lambda: text in self.notes or self.process.poll() is not None, f"tap notes {text!r}", 60)
        assert text in self.notes

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Follower]]:
    """Taps that follow a pipeline, once they have begun."""
    with ExitStack() as ended:

        def begin(pipeline: Pipeline, *arguments: str, output: int | None = None) -> Follower:
            rows, notes = (tmp_path / f"{uuid.uuid4().hex}.{name}" for name in ("rows", "notes"))
            with rows.open("wb") as out, notes.open("wb") as err:
                process = subprocess.Popen(
                    [*COMMAND, "-f", *arguments],
                    cwd=PROJECT,
                    env=environment(pipeline),
                    stdout=out if output is None else output,
                    stderr=err,
                )
            ended.callback(process.wait)
            ended.callback(process.kill)
            follower = Follower(process, rows, notes)
            follower.wait_for_note("following")
            return follower

        yield begin


@pytest.fixture(scope="module")
def done(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline that has processed two sources, some rows of which were rejected; nothing runs any more."""
    folder = tmp_path_factory.mktemp("tapped")
    (folder / "in").mkdir()
    (folder / "in" / "abalone.csv").write_bytes(ABALONE_FILE.read_bytes())
    (folder / "in" / "odd.csv").write_bytes(ODD)
    pipeline = Pipeline(bootstrap, f"test-{uuid.uuid4().hex[:12]}.", folder)
    try:
        pipeline.run(folder / "in", "*,Sex,Rings:int")
        yield pipeline
    finally:
        pipeline.close()


HOSTILE = 'I,"\x1b]0;gone\x07\x1b[2J\u202e",4'.encode()
ODD = (
    HEADER
    + b"M,%b,1\n" % (b"long" * 200_000)
    + b'F,"two\nlines",2\n'
    + b"too,short\n"
    + HOSTILE
    + b"\n"
    + b"M,\xff,x\n"
)


def source_of(pipeline: Pipeline, name: str) -> str:
    return str(pipeline.folder / "in" / name)


def test_the_newest_rows_are_printed_each_with_its_place(done: Pipeline) -> None:
    content = ABALONE_FILE.read_bytes()
    name = source_of(done, "abalone.csv")
    found = objects(tap(done, "--source", "abalone.csv", "--json").stdout)
    assert [row["row"].encode() for row in found] == content.splitlines()[-10:]
    records = {(each.partition, each.offset): each.value for each in done.observer.records("rows")}
    for row in found:
        assert (row["stage"], row["topic"], row["source"]) == ("rows", f"{done.prefix}rows", name)
        assert records[row["partition"], row["kafka_offset"]] == row["row"].encode()
        assert content[row["offset"] :].startswith(row["row"].encode() + b"\n")
        assert row["line"] == content[: row["offset"]].count(b"\n") + 1
        assert abs(time.time() - row["timestamp_ms"] / 1000) < 600
    [line] = tap(done, "--source", name, "-n", "1").stdout.splitlines()
    row = found[-1]
    place = f"rows-{row['partition']}@{row['kafka_offset']}"
    assert line == f"{place}  {name}:{row['line']} (byte {row['offset']})  {row['row']}"


def test_more_rows_than_there_are_are_all_rows(done: Pipeline) -> None:
    found = objects(tap(done, "rows", "categorized", "-n", "100000", "--json").stdout)
    by_source = defaultdict[str, list[bytes]](list)
    for row in found:
        if row["stage"] == "rows":
            by_source[row["source"]].append(row["row"].encode())
    assert by_source[source_of(done, "abalone.csv")] == ABALONE_FILE.read_bytes().splitlines()[1:]
    assert len(by_source[source_of(done, "odd.csv")]) == 4
    # Of the rows with \xff and too few fields, one is in no split but `all`, the other in none.
    assert len(found) - sum(map(len, by_source.values())) == 3 * 4177 + 3 * 3 + 2


def test_categories_are_found_by_split_and_category(done: Pipeline) -> None:
    rows = [line for line in ABALONE_FILE.read_bytes().decode().splitlines() if line.startswith("M,")]
    for filters in (["--split", "Sex", "--category", "M"], ["--category", "Sex=M"]):
        found = objects(tap(done, "--source", "abalone.csv", "-n", "3", "--json", *filters).stdout)
        assert [row["row"] for row in found] == rows[-3:]
        assert {(row["stage"], row["split"], row["category"]) for row in found} == {("categorized", "Sex", "M")}
    text = tap(done, "categorized", "--category", "Sex=M", "--source", "abalone.csv", "-n", "1").stdout
    assert re.fullmatch(rf"categorized-\d@\d+  Sex=M  {source_of(done, 'abalone.csv')}  {re.escape(rows[-1])}\n", text)
    [of_all] = objects(tap(done, "--split", "all", "-n", "1", "--json").stdout)
    assert (of_all["category"], of_all["key"]) == (None, "all")


def test_rejected_rows_have_their_reason_and_code(done: Pipeline) -> None:
    found = objects(tap(done, "rejected", "--json").stdout)
    # ingest and split write to this topic, each when its transaction commits.
    assert sorted((row["split"], row["code"], row["row"]) for row in found) == [
        ("", "fields", "too,short"),
        ("Rings", "number", "M,\\xff,x"),
    ]
    for row in found:
        raw = row["row"].encode().replace(b"\\xff", b"\xff")
        assert ODD[row["offset"] :].startswith(raw + b"\n")
        assert row["line"] == ODD[: row["offset"]].count(b"\n") + 1
        assert row["reason"]
    assert len(tap(done, "--code", "number").stdout.splitlines()) == 1
    [line] = tap(done, "rejected", "--split", "Rings").stdout.splitlines()
    assert "[split Rings: number]" in line
    assert line.endswith("  M,\\xff,x")


def test_what_a_row_holds_is_never_obeyed_and_a_long_one_is_cut(done: Pipeline) -> None:
    lines = tap(done, "--source", "odd.csv").stdout.splitlines()
    assert len(lines) == 4
    assert all(line.isprintable() and len(line) < 2_000 for line in lines)
    assert lines[0].endswith("longlo… (800,004 bytes)")
    assert lines[1].endswith(r'  F,"two\nlines",2')
    assert lines[2].endswith(r'  I,"\x1b]0;gone\x07\x1b[2J\u202e",4')
    assert lines[3].endswith(r"  M,\xff,x")
    whole = objects(tap(done, "--source", "odd.csv", "--json").stdout)
    assert [row["row"].encode() for row in whole[:3]] == [
        b"M,%b,1" % (b"long" * 200_000),
        b'F,"two\nlines",2',
        HOSTILE,
    ]


def test_a_filter_that_nothing_fits_ends(done: Pipeline) -> None:
    for arguments in (["--source", "none.csv"], ["--category", "Sex=X"], ["rejected", "--code", "late"]):
        found = tap(done, *arguments)
        assert found.stdout == ""
        assert re.fullmatch(r"nacre tap: no such row in test-\w+\.(rows|categorized|rejected)\n", found.stderr)


def test_what_cannot_be_asked_for_is_one_line(done: Pipeline) -> None:
    for arguments, told in (
        (["rows", "--category", "M"], "--category: rows of rows have none; those of categorized do"),
        (["-n", "0"], "argument -n: '0' is not a number from 1 on"),
        (["-n", "100001"], "-n: at most 100,000 rows, unless -f follows them"),
        (["-n", "100000000000000000000"], "-n: at most 100,000 rows, unless -f follows them"),
        (["receipts"], "argument STAGE: 'receipts' is none of rows, categorized, rejected"),
        (["--rate", "5"], "--rate is for -f: without it, -n says how many rows come"),
    ):
        refused = run_tap(environment(done), *arguments)
        assert (refused.returncode, refused.stdout, refused.stderr) == (78, "", f"nacre tap: {told}\n")


def test_looking_makes_no_topic_and_joins_no_group(done: Pipeline, follow: Callable[..., Follower]) -> None:
    admin = done.observer.admin

    def there() -> tuple[set[str], set[str]]:
        groups = admin.list_consumer_groups(request_timeout=30).result().valid
        return set(admin.list_topics(timeout=30).topics), {group.group_id for group in groups}

    before = there()
    # A broker that would make each topic that a client asks about.
    with_another_prefix = {**environment(done), "TOPIC_PREFIX": "no.such."}
    refused = run_tap(with_another_prefix)
    assert refused.returncode == 78
    assert refused.stderr == (
        "nacre tap: topic no.such.rows does not exist: is TOPIC_PREFIX right, and was a service started?\n"
    )
    followers = [follow(done, stage) for stage in ("rows", "categorized", "rejected")]
    tap(done, "rows", "categorized", "rejected")
    assert there() == before
    for follower in followers:
        assert follower.end() == 0
        assert follower.rows == []
    assert there() == before


def start_services(pipeline: Pipeline, source: Path) -> None:
    pipeline.start("split", SPLIT_BY="*,Sex,Rings:int")
    pipeline.start("sink")
    ingest = pipeline.start("ingest", source)
    pipeline.wait_for_event(ingest, "ready")


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def wait_for_rows(follower: Follower, count: int, deadline_s: float = 60) -> float:
    took = wait_until(lambda: len(follower.rows) >= count or follower.process.poll() is not None, "rows", deadline_s)
    assert len(follower.rows) >= count, follower.notes
    return took


@pytest.mark.alone
def test_a_row_that_is_appended_is_shown_within_a_second_and_none_of_before(
    pipeline: Pipeline, tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"M,before,1\n")
    start_services(pipeline, source)
    pipeline.wait_until((pipeline.output / "Sex" / "M.csv").exists, "the first row is carried")
    rows, males, rejected = (
        follow(pipeline),
        follow(pipeline, "--category", "M", "--json"),
        follow(pipeline, "rejected"),
    )
    append(source, b"M,new,2\n")
    assert wait_for_rows(rows, 1, 10) < 1.0
    [line] = rows.rows
    assert re.fullmatch(rf"rows-\d@\d+  {re.escape(str(source))}:3 \(byte 26\)  M,new,2\n", line)
    wait_for_rows(males, 1)
    append(source, b"F,other,3\nM,last,x\n")
    wait_for_rows(rows, 3)
    wait_for_rows(rejected, 1)
    wait_for_rows(males, 2)
    assert [row["row"] for row in objects("".join(males.rows))] == ["M,new,2", "M,last,x"]
    assert rejected.rows[0].endswith("  M,last,x\n")
    assert [each.end(signal.SIGINT) for each in (rows, males, rejected)] == [0, 0, 0]
    assert "Traceback" not in rows.notes + males.notes + rejected.notes


def test_with_a_number_it_follows_until_so_many_rows_have_come(
    pipeline: Pipeline, tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"M,before,1\n")
    start_services(pipeline, source)
    pipeline.wait_until(lambda: pipeline.observer.records("rows"), "the first row is there")
    follower = follow(pipeline, "-n", "3")
    append(source, b"F,new,1\n" * 5)
    assert follower.process.wait(30) == 0
    assert [line.split()[-1] for line in follower.rows] == ["F,new,1"] * 3


def test_a_flood_is_limited_and_what_is_left_out_is_counted(
    pipeline: Pipeline, big_file: Path, follow: Callable[..., Follower]
) -> None:
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    follower, began = follow(pipeline, "--rate", "20"), time.monotonic()
    pipeline.finish(pipeline.start("ingest", "--once", big_file))
    total = big_file.read_bytes().count(b"\n") - 1

    def counted() -> int:
        return len(follower.rows) + sum(int(found[1].replace(",", "")) for found in LEFT_OUT.finditer(follower.notes))

    wait_until(lambda: counted() >= total, "every row is shown or counted", 60)
    # The reader begins each second anew.
    assert 20 <= len(follower.rows) <= 20 * (time.monotonic() - began + 1)
    assert counted() == total
    assert follower.end() == 0
    assert counted() == total


@contextmanager
def transaction(pipeline: Pipeline, values: Sequence[bytes]) -> Iterator[Producer]:
    """An open transaction with these records in `rows`."""
    producer = Producer(
        {
            "bootstrap.servers": pipeline.bootstrap,
            "transactional.id": f"{pipeline.prefix}{uuid.uuid4()}",
            "log_level": 0,
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in values:
        producer.produce(f"{pipeline.prefix}rows", value, partition=0)
    assert producer.flush(30) == 0
    yield producer


def test_what_is_not_committed_is_never_shown(
    pipeline: Pipeline, tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"M,first,1\n")
    pipeline.run(source, "Sex")
    follower = follow(pipeline)

    def values() -> list[str]:
        return [line.split()[-1] for line in tap(pipeline).stdout.splitlines()]

    with transaction(pipeline, [b"aborted"]) as aborted, transaction(pipeline, [b"committed"]) as committed:
        # Also what is committed, because reading stops before a transaction that is open.
        assert values() == ["M,first,1"]
        committed.commit_transaction(30)
        assert values() == ["M,first,1"]
        assert follower.rows == []
        aborted.abort_transaction(30)
    wait_for_rows(follower, 1)
    wait_until(lambda: values() == ["M,first,1", "committed"], "what is committed is there", 30)
    with transaction(pipeline, [b"aborted too"]) as aborted:
        aborted.abort_transaction(30)
    with transaction(pipeline, [b"last"]) as last:
        last.commit_transaction(30)
    wait_for_rows(follower, 2)
    assert [line.split("  ", 1)[1] for line in follower.rows] == [
        "(source not known)  committed\n",
        "(source not known)  last\n",
    ]
    assert values() == ["M,first,1", "committed", "last"]


def test_it_ends_when_its_reader_has_enough(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"M,before,1\n")
    start_services(pipeline, source)
    pipeline.wait_until(lambda: pipeline.observer.records("rows"), "the first row is there")
    notes = tmp_path / "notes"
    command = f"set -o pipefail; {sys.executable} -m ops tap -f 2>{notes} | head -1"
    shell = subprocess.Popen(
        ["bash", "-c", command], cwd=PROJECT, env=environment(pipeline), stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: notes.exists() and "following" in notes.read_text(), "tap follows", 60)
    append(source, b"M,one,1\nM,two,2\n")
    out, _ = shell.communicate(timeout=30)
    assert (shell.returncode, out.split()[-1]) == (0, "M,one,1")
    assert notes.read_text().splitlines() == [f"nacre tap: following {pipeline.prefix}rows from now on"]


def test_it_ends_when_its_reader_leaves_although_no_row_comes(done: Pipeline, follow: Callable[..., Follower]) -> None:
    reading, writing = os.pipe()
    follower = follow(done, output=writing)
    os.close(writing)
    os.close(reading)
    assert follower.process.wait(10) == 0


def test_a_signal_ends_it_with_0_although_its_reader_does_not_read(
    pipeline: Pipeline, big_file: Path, follow: Callable[..., Follower]
) -> None:
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    reading, writing = os.pipe()
    follower = follow(pipeline, "--rate", "1000000", output=writing)
    os.close(writing)
    pipeline.finish(pipeline.start("ingest", "--once", big_file))

    def waiting() -> int:
        [size] = struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, struct.pack("i", 0)))
        return int(size)

    wait_until(lambda: waiting() >= FULL_BYTES, "the pipe is full", 30)
    assert follower.end() == 0
    os.close(reading)


def test_a_topic_that_is_deleted_ends_it_in_one_line(pipeline: Pipeline, follow: Callable[..., Follower]) -> None:
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    follower = follow(pipeline)
    pipeline.observer.admin.delete_topics([f"{pipeline.prefix}rows"])[f"{pipeline.prefix}rows"].result(30)
    assert follower.process.wait(60) == 1
    assert f"nacre tap: topic {pipeline.prefix}rows was deleted" in follower.notes


@pytest.mark.long
@pytest.mark.timeout(300)
def test_it_waits_for_a_broker_that_is_away_and_goes_on_where_it_was(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline], tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER)
    start_services(pipeline, source)
    append(source, b"M,first,1\n")
    pipeline.wait_until(lambda: pipeline.observer.records("rows"), "the first row is there")
    follower = follow(pipeline)
    append(source, b"M,second,2\n")
    wait_for_rows(follower, 1)
    own_kafka.stop()
    follower.wait_for_note("waiting for the broker")
    refused = run_tap(environment(pipeline))
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    append(source, b"M,third,3\n")
    own_kafka.start()
    wait_for_rows(follower, 2, 120)
    assert [line.split()[-1] for line in follower.rows] == ["M,second,2", "M,third,3"]
    assert follower.notes.count("waiting for the broker") == 1
    assert f"following {pipeline.prefix}rows again, from where it was" in follower.notes
    assert follower.end() == 0


def test_it_ends_when_its_reader_leaves_while_no_broker_can_be_reached(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    reader, writer = os.pipe()
    with notes.open("wb") as err:
        process = subprocess.Popen(
            [*COMMAND, "-f"],
            cwd=PROJECT,
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"},
            stdout=writer,
            stderr=err,
        )
    os.close(writer)
    try:
        wait_until(lambda: "waiting for the broker" in notes.read_text(), "tap waits", 60)
        assert process.poll() is None
        os.close(reader)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert len(notes.read_text().splitlines()) == 1
