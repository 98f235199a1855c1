"""Receipts for real: each source that is safe has one; what a replay or a new split does to it."""

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from google_crc32c import value as crc32c

from common.protocol.receipts import decode_receipt, encode_receipt
from tests.harness.broker import free_port
from tests.harness.chaos.receipts import is_delivered, receipt_path
from tests.harness.hook import Hook
from tests.harness.pages import text_of
from tests.harness.pipeline import PROJECT, Pipeline

HEADER = b"Sex,Rings\n"
PERMITTED = {"MAX_REJECTED": "100%"}


def sums(rows: list[bytes]) -> dict[str, Any]:
    checksum = sum(map(crc32c, rows)) % 2**64
    return {"rows": len(rows), "row_bytes": sum(map(len, rows)), "checksum": f"{checksum:016x}"}


def receipt_of(pipeline: Pipeline, source: Path) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(receipt_path(pipeline.output, source).read_bytes())
    # The record comes behind the file, and says the same.
    records = [record for record in pipeline.observer.records("receipts") if record.key == str(source).encode()]
    assert json.loads(records[-1].value) == receipt
    return receipt


def of_split(receipt: dict[str, Any], split: str) -> tuple[dict[str, Any], dict[str, int], int]:
    """What is in files, the rejected rows by code, and how many rows replays have sent."""
    found = receipt["splits"][split]
    assert found["rejected"]["rows"] == sum(found["rejected"]["codes"].values())
    return (
        {name: found[name] for name in ("rows", "row_bytes", "checksum")},
        found["rejected"]["codes"],
        found["replayed"],
    )


def rejected(pipeline: Pipeline, *arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "rejected", *arguments],
        cwd=PROJECT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": pipeline.bootstrap, "TOPIC_PREFIX": pipeline.prefix},
        input=given,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def replay(pipeline: Pipeline, folder: Path, mended: dict[str, str]) -> None:
    """Send every rejected row again, as it is mended."""
    shown = list(csv.DictReader(io.StringIO(rejected(pipeline, "show").decode(), newline="")))
    path = folder / "mended.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(shown[0]))
        writer.writeheader()
        writer.writerows({**row, "row": mended[row["row"]]} for row in shown)
    rejected(pipeline, "replay", "--from", str(path), "--yes")


def forget(pipeline: Pipeline, *sources: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops", "forget", *map(str, sources)]
    environment = {**pipeline.environment, **settings}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def tallied(pipeline: Pipeline) -> dict[str, int]:
    """The rows in all ledgers by source; "" has those of forgotten ones."""
    rows: Counter[str] = Counter()
    for path in pipeline.output.glob(".nacre/*.ledger"):
        with closing(sqlite3.connect(path)) as ledger:
            for source, count in ledger.execute("SELECT source, sum(rows) FROM tallies GROUP BY source"):
                rows[source] += count
    return rows


def has_safe(pipeline: Pipeline, source: Path, rows: int) -> bool:
    return tallied(pipeline)[str(source)] == rows


def carry_on(pipeline: Pipeline, split_by: str) -> None:
    split = pipeline.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true", **PERMITTED)
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true")
    pipeline.finish(split, sink)


@pytest.mark.parametrize("order", ["source", "none"])
def test_each_source_of_a_finite_run_has_a_receipt(pipeline: Pipeline, tmp_path: Path, order: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    one, other, empty, header = (folder / f"{name}.csv" for name in ("one", "other", "empty", "header"))
    rows = [b"M,%d" % (n % 7) for n in range(5_000)]
    one.write_bytes(HEADER + b"".join(row + b"\n" for row in rows) + b"F,x\ntoo,many,fields\n")
    other.write_bytes(HEADER + b'"M",3\nI,5')
    empty.touch()
    header.write_bytes(HEADER)
    pipeline.run(folder, "*,Sex,Rings:int", ORDER=order, **PERMITTED)
    receipt = receipt_of(pipeline, one)
    assert {name: receipt[name] for name in sums(rows)} == sums([*rows, b"F,x"])
    assert (receipt["bytes"], receipt["end"], receipt["checksum_of"]) == (one.stat().st_size, 1, "rows")
    assert receipt["rejected"] == {"rows": 1, "codes": {"fields": 1}, "replayed": 0}
    assert of_split(receipt, "Rings") == (sums(rows), {"number": 1}, 0)
    assert of_split(receipt, "Sex") == of_split(receipt, "all") == (sums([*rows, b"F,x"]), {}, 0)
    assert receipt["splits"]["Sex"]["files"] == ["Sex/F.csv", "Sex/M.csv"]
    assert receipt["latency_ms"]["p50"] <= receipt["latency_ms"]["p99"] < 60_000
    assert of_split(receipt_of(pipeline, other), "all") == (sums([b'"M",3', b"I,5"]), {}, 0)
    for source in (empty, header):
        found = receipt_of(pipeline, source)
        assert (found["rows"], found["bytes"], found["latency_ms"]["p50"]) == (0, source.stat().st_size, None)
        assert of_split(found, "Sex") == (sums([]), {}, 0)


def test_the_receipt_of_json_rows_is_of_their_fields(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b'"M",1\n"a,b","2"\nF,x\n')
    pipeline.run(source, "*,Rings:int", ROW_FORMAT="json", **PERMITTED)
    receipt = receipt_of(pipeline, source)
    assert receipt["checksum_of"] == "fields"
    written = [b"M,1", b'"a,b",2', b"F,x"]
    assert {name: receipt[name] for name in sums([])} == sums(written)
    assert of_split(receipt, "all") == (sums(written), {}, 0)
    assert of_split(receipt, "Rings") == (sums(written[:2]), {"number": 1}, 0)


def test_a_replay_and_a_new_split_supersede_a_receipt(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\nF,x\nI\n")
    pipeline.run(source, "Sex,Rings:int", **PERMITTED)
    before = receipt_of(pipeline, source)
    assert before["rejected"]["codes"] == {"fields": 1}
    replay(pipeline, tmp_path, {"F,x": "F,2", "I": "I,y"})
    carry_on(pipeline, "Sex,Rings:int")
    after = receipt_of(pipeline, source)
    assert (after["end"], after["rows"]) == (1, 2)
    assert after["rejected"] == {"rows": 0, "codes": {}, "replayed": 1}
    assert of_split(after, "Sex") == (sums([b"M,1", b"F,x", b"I,y"]), {}, 1)
    # Mended for one split, and rejected again by it.
    assert of_split(after, "Rings") == (sums([b"M,1", b"F,2"]), {"number": 1}, 2)
    carry_on(pipeline, "Sex,Rings:int,*")
    last = receipt_of(pipeline, source)
    assert of_split(last, "all") == (sums([b"M,1", b"F,x", b"I,y"]), {}, 1)
    assert {name: last["splits"][name] for name in ("Sex", "Rings")} == after["splits"]


def test_a_file_that_grows_has_the_receipt_of_its_latest_end(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n")
    services = [pipeline.start("ingest", source, SETTLE_S="0.1")]
    services += [pipeline.start("split", SPLIT_BY="Sex"), pipeline.start("sink"), pipeline.start("sink")]
    for number in range(2, 6):
        pipeline.wait_until(lambda: is_delivered(pipeline.output, source), "all so far is delivered")
        with source.open("ab") as file:
            file.write(b"F,%d\n" % number)
    pipeline.wait_until(lambda: is_delivered(pipeline.output, source), "all is delivered")
    assert of_split(receipt_of(pipeline, source), "Sex")[0] == sums([b"M,1", *(b"F,%d" % n for n in range(2, 6))])
    for service in services:
        assert service.stop()[0] == 0


def test_rows_behind_the_end_of_a_file_that_grows_on_issue_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n")
    with Hook() as hook:
        services = [pipeline.start("split", SPLIT_BY="Sex"), pipeline.start("sink", ON_DELIVERY=hook.url)]
        ingest = pipeline.start("ingest", source, SETTLE_S="0.1")
        pipeline.wait_until(lambda: is_delivered(pipeline.output, source), "all so far is delivered")
        first = receipt_of(pipeline, source)
        assert ingest.stop()[0] == 0
        # It does not rest again.
        ingest = pipeline.start("ingest", source, SETTLE_S="3600")
        for number in range(2, 6):
            with source.open("ab") as file:
                file.write(b"F,%d\n" % number)
            pipeline.wait_until(partial(has_safe, pipeline, source, number), "it is safe")
        assert ingest.stop()[0] == 0
        ingest = pipeline.start("ingest", source, SETTLE_S="0.1")
        pipeline.wait_until(lambda: is_delivered(pipeline.output, source), "all is delivered")
        second = receipt_of(pipeline, source)
        pipeline.wait_until(lambda: [posted.receipt for posted in hook.posted][-1:] == [second], "it is posted")
        for service in (ingest, *services):
            assert service.stop()[0] == 0
    assert (first["end"], second["end"], second["rows"]) == (1, 2, 5)
    assert [json.loads(record.value) for record in pipeline.observer.records("receipts")] == [first, second]
    assert [posted.receipt for posted in hook.posted] == [first, second]
    assert len(services[1].events("delivered")) == 2


def test_a_restart_issues_no_receipt_again(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n")
    pipeline.run(source, "Sex")
    first = receipt_of(pipeline, source)
    for _ in range(2):
        carry_on(pipeline, "Sex")
    [record] = pipeline.observer.records("receipts")
    assert json.loads(record.value) == first


def test_receipts_that_have_no_files_get_them_at_the_next_start(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sources = [folder / name for name in ("a.csv", "b.csv")]
    for source in sources:
        source.write_bytes(HEADER + b"M,1\n")
    pipeline.run(folder, "Sex", PROOFS="none")
    with sources[0].open("ab") as file:
        file.write(b"F,2\n")
    pipeline.run(folder, "Sex", PROOFS="none")
    issued = [(record.key, record.value) for record in pipeline.observer.records("receipts")]
    assert [json.loads(value)["end"] for key, value in issued if key == str(sources[0]).encode()] == [1, 2]
    assert not (pipeline.output / "_receipts").exists()
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true")
    pipeline.finish(sink)
    for source in sources:
        assert receipt_path(pipeline.output, source).read_bytes() == dict(issued)[str(source).encode()]
    # Neither the topic nor ON_DELIVERY gets them again.
    assert [(record.key, record.value) for record in pipeline.observer.records("receipts")] == issued
    receipt_path(pipeline.output, sources[1]).unlink()
    kept = receipt_path(pipeline.output, sources[0]).stat()
    sink = pipeline.start("sink")
    pipeline.wait_until(receipt_path(pipeline.output, sources[1]).exists, "its receipt is a file again")
    assert sink.stop()[0] == 0
    assert receipt_path(pipeline.output, sources[0]).stat() == kept


def test_a_receipt_waits_for_no_split_that_is_gone(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\nI\n")
    pipeline.run(source, "Sex,Rings:int", **PERMITTED)
    assert list(receipt_of(pipeline, source)["splits"]) == ["Sex", "Rings"]
    carry_on(pipeline, "Sex")
    replay(pipeline, tmp_path, {"I": "I,7"})
    carry_on(pipeline, "Sex")
    receipt = receipt_of(pipeline, source)
    assert list(receipt["splits"]) == ["Sex"]
    assert of_split(receipt, "Sex") == (sums([b"M,1", b"I,7"]), {}, 1)
    assert (pipeline.output / "_SUCCESS").exists()


def test_a_source_has_a_receipt_where_order_is_another_one_in_mid_file(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    rows = [b"M,%d" % n for n in range(20_000)]
    source.write_bytes(HEADER + b"".join(row + b"\n" for row in rows[:-1]))
    # Rows are spread over all partitions, and the source has not ended.
    ingest = pipeline.start("ingest", source, ORDER="none", SETTLE_S="3600")
    in_rows = partial(pipeline.observer.records, "rows")
    pipeline.wait_until(lambda: sum("nacre" not in each.headers for each in in_rows()) == len(rows) - 1, "all is sent")
    assert ingest.stop()[0] == 0
    with source.open("ab") as file:
        file.write(rows[-1] + b"\n")
    pipeline.run(source, "Sex", ORDER="source")
    assert of_split(receipt_of(pipeline, source), "Sex")[0] == sums(rows)


def test_another_output_folder_has_receipts_of_its_own(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n")
    pipeline.run(source, "Sex")
    first = receipt_of(pipeline, source)
    other = tmp_path / "other"
    sink = pipeline.start("sink", OUTPUT_DIR=str(other), EXIT_WHEN_DONE="true")
    pipeline.finish(sink)
    second = json.loads(receipt_path(other, source).read_bytes())
    assert second["folder"] != first["folder"]
    assert second["splits"] == first["splits"]
    # A reader of the records acts on those of the latest folder; the receipts in the first folder stay.
    values = [record.value for record in pipeline.observer.records("receipts")]
    assert [json.loads(value) if value else None for value in values] == [first, None, second]


def test_the_page_shows_a_receipt_as_its_schema_has_it_and_so_is_a_real_one(pipeline: Pipeline, tmp_path: Path) -> None:
    validate = fastjsonschema.compile(json.loads(text_of("docs/receipt.schema.json")))
    [shown] = re.findall(r"^```json\n(.*?)^```", text_of("docs/receipts.md"), re.MULTILINE | re.DOTALL)
    validate(json.loads(shown))
    assert decode_receipt(encode_receipt(decode_receipt(shown.encode()))) == decode_receipt(shown.encode())
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\nF,x\nI\n")
    pipeline.run(source, "Sex,Rings:int", **PERMITTED)
    validate(receipt_of(pipeline, source))


def test_a_source_that_is_gone_is_forgotten_and_its_rows_stay(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    gone, stays = folder / "gone.csv", folder / "stays.csv"
    gone.write_bytes(HEADER + b"M,1\nF,x\n")
    stays.write_bytes(HEADER + b"M,2\n")
    pipeline.run(folder, "Sex,Rings:int", **PERMITTED)
    files, kept = pipeline.output_files(), receipt_of(pipeline, stays)
    sink = pipeline.start("sink")
    pipeline.wait_for_event(sink, "ready")
    refused = forget(pipeline, gone)
    assert (refused.returncode, refused.stderr.rpartition(": ")[2]) == (78, "stop every sink first\n")
    assert sink.stop()[0] == 0
    done = forget(pipeline, gone)
    assert (done.returncode, done.stdout) == (0, f"{gone}: forgotten\n")
    assert pipeline.output_files() == files
    assert tallied(pipeline) == {str(stays): 2, "": 4}
    assert not receipt_path(pipeline.output, gone).exists()
    again = forget(pipeline, gone, stays)
    assert (again.returncode, again.stdout.splitlines()[0]) == (
        1,
        f"{gone}: not known, so there is nothing to forget",
    )
    # A start reads what is left of both topics. A source that comes later has its receipt as ever.
    late = folder / "late.csv"
    late.write_bytes(HEADER + b"M,3\n")
    pipeline.run(folder, "Sex,Rings:int", **PERMITTED)
    assert of_split(receipt_of(pipeline, late), "Sex")[0] == sums([b"M,3"])
    # Nothing is asked of what is forgotten.
    assert (pipeline.output / "_SUCCESS").exists()
    assert not receipt_path(pipeline.output, gone).exists()
    assert kept["rows"] == 1


def test_what_a_run_without_a_broker_has_left_is_forgotten_by_the_next(pipeline: Pipeline, tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    gone.write_bytes(HEADER + b"M,1\nF,2\n")
    pipeline.run(gone, "Sex")
    away = f"127.0.0.1:{free_port()}"
    failed = forget(pipeline, gone, KAFKA_BOOTSTRAP_SERVERS=away)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"cannot connect to {away}" in failed.stderr
    assert tallied(pipeline) == {str(gone): 2}
    done = forget(pipeline, gone)
    assert (done.returncode, done.stdout) == (0, f"{gone}: forgotten\n")
    assert tallied(pipeline) == {"": 2}
    # The record that deletes its receipt.
    assert [record.value for record in pipeline.observer.records("receipts")][-1] == b""
    # As one leaves it that was killed before its last step.
    receipt = receipt_path(pipeline.output, gone)
    receipt.write_bytes(b"{}")
    done = forget(pipeline, gone)
    assert (done.returncode, done.stdout) == (0, f"{gone}: forgotten\n")
    assert not receipt.exists()
