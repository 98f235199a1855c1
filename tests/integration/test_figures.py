"""At rest a figure is the same wherever it is looked at: status, metrics, receipts, ledgers, rejected rows, files."""

import json
from pathlib import Path
from typing import Any

from tests.harness.chaos.receipts import receipt_path
from tests.harness.commands import nacre
from tests.harness.health import Health
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline

SETTINGS = {"SPLIT_BY": "*,Sex,Rings:int", "SETTLE_S": "0"}
HEADER = b"Sex,Rings\n"


def json_lines(printed: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def test_status_metrics_receipts_and_ledgers_agree_at_rest(pipeline: Pipeline, tmp_path: Path) -> None:
    sources = [tmp_path / "abalone.csv", tmp_path / "few.csv"]
    sources[0].write_bytes(ABALONE_FILE.read_bytes())
    # Two records of too few or too many fields, which no split gets, and a row without a number, which one rejects.
    sources[1].write_bytes(HEADER + b"M,1\nF\nI,none\ntoo,many,fields\n")
    health = {name: Health() for name in SERVICES}
    for name in SERVICES:
        pipeline.start(name, INPUT=f"{tmp_path}/*.csv", **SETTINGS, **health[name].settings)
    paths = [receipt_path(pipeline.output, source) for source in sources]
    pipeline.wait_until(lambda: all(path.exists() for path in paths), "both are delivered")

    def status() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(nacre(pipeline, "status", "--json", "--all"))
        return found

    def is_at_rest() -> bool:
        stages, others = status()["stages"], ("split", "sink")
        shown_lags = {stages["ingest"]["lag_bytes"], *(stages[name]["lag_rows"] for name in others)}
        return shown_lags == {0} == {health[name].value("lag_rows") for name in others}

    pipeline.wait_until(is_at_rest, "nobody is behind", 30)
    receipts = [json.loads(path.read_bytes()) for path in paths]
    ledgers = json_lines(nacre(pipeline, "index", pipeline.output))
    shown, (ingest, split, sink) = status(), health.values()
    stages = shown["stages"]

    # Rows that ingest sent.
    rows = sum(receipt["rows"] for receipt in receipts)
    assert rows == 4_177 + 2
    assert rows == ingest.value("rows_sent_total") == split.value("rows_received_total")
    assert rows == shown["sources"]["rows"] == stages["ingest"]["rows"] == stages["split"]["rows"]
    assert {receipt["source"]: receipt["rows"] for receipt in receipts} == {
        each["source"]: each["rows"] for each in shown["sources"]["first"]
    }

    # Rows in files of categories, one for each split that took it.
    in_files = sum(each["rows"] for receipt in receipts for each in receipt["splits"].values())
    assert in_files == 3 * rows - 1
    assert in_files == split.value("rows_sent_total") == sink.value("rows_received_total")
    assert in_files == sink.value("rows_sent_total") == sink.value("safe_latency_seconds_count")
    assert in_files == sum(each["rows"] for each in ledgers if each["split"] is not None)
    assert in_files == rows_in_files(pipeline)

    # Rows rejected.
    by_ingest = sum(sum(receipt["rejected"]["codes"].values()) for receipt in receipts)
    by_splits = sum(
        sum(each["rejected"]["codes"].values()) for receipt in receipts for each in receipt["splits"].values()
    )
    assert (by_ingest, by_splits) == (2, 1)
    assert shown["sources"]["rejected"] == {"ingest": by_ingest, "split": by_splits}
    assert (sum(ingest.rejected().values()), sum(split.rejected().values())) == (by_ingest, by_splits)
    listed = json_lines(nacre(pipeline, "rejected", "list", "--json"))
    assert sum(each["rows"] for each in listed) == by_ingest + by_splits
    # What status says of sink is all that its ledgers have.
    assert stages["sink"]["rows"] == sum(each["rows"] for each in ledgers) == in_files + by_ingest + by_splits


def rows_in_files(pipeline: Pipeline) -> int:
    contents = [path.read_bytes() for path in pipeline.output.rglob("*.csv") if path.name != "rejected.csv"]
    return sum(content.count(b"\n") - 1 for content in contents)
