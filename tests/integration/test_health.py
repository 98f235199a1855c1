"""What a service says of itself over HTTP, through its life."""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.broker import free_port
from tests.harness.chaos.proxy import ProxiedKafka, proxied_kafka
from tests.harness.chaos.receipts import receipt_path
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.health import Health
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline
from tests.harness.small_disk import Disk

MakePipeline = Callable[[str], Pipeline]
RecordProperty = Callable[[str, object], None]
# Long enough for a broker that goes away to be noticed, on a machine that is busy.
SEEN_WITHIN_S = 20.0


@pytest.fixture
def proxied() -> Iterator[ProxiedKafka]:
    with proxied_kafka() as kafka:
        yield kafka


def wait_until_ready(pipeline: Pipeline, health: Health, deadline_s: float = 60.0) -> None:
    pipeline.wait_until(lambda: health.is_ready, "it is ready", deadline_s)


def settings_of(name: str, source: Path) -> dict[str, str]:
    return {"ingest": {"INPUT": str(source), "SETTLE_S": "0"}, "split": {"SPLIT_BY": "Sex,Rings:int"}, "sink": {}}[name]


def test_services_say_what_becomes_of_them_from_their_start_to_their_end(
    proxied: ProxiedKafka, make_pipeline: MakePipeline, record_property: RecordProperty
) -> None:
    pipeline, health = make_pipeline(proxied.bootstrap), {name: Health() for name in SERVICES}

    def wait_for_all(condition: Callable[[str], bool], what: str, deadline_s: float = SEEN_WITHIN_S) -> float:
        return pipeline.wait_until(lambda: all(map(condition, SERVICES)), what, deadline_s)

    with proxied.proxy.refuse():
        services = {
            name: pipeline.start(name, **settings_of(name, ABALONE_FILE), **health[name].settings) for name in SERVICES
        }
        wait_for_all(lambda name: health[name].is_live, "they live before they have reached any broker", 60)
        assert not any(each.is_ready for each in health.values())
        wait_for_all(lambda name: "cannot connect to" in health[name].reason, "they say what they wait for")
    wait_for_all(lambda name: health[name].is_ready, "they are ready")
    for name, each in health.items():
        told = each.ready()
        assert told["service"] == name
        assert told["reason"] == ""
        # The rejected rows have one partition, the others six.
        assert len(told["partitions"]) == (7 if name == "sink" else 6)
        assert each.value("ready") == 1
        assert each.value("rebalances_total") >= 1

    with proxied.proxy.refuse():
        record_property(
            "seconds until all services say that their broker is gone",
            wait_for_all(lambda name: not health[name].is_ready, "they notice"),
        )
        # A cause that returns is not logged again.
        wait_for_all(
            lambda name: health[name].reason in {each["reason"] for each in services[name].events("not ready")},
            "the reason is the log's",
        )
        for each in health.values():
            assert each.is_live
            assert each.value("ready") == 0
    wait_for_all(lambda name: health[name].is_ready, "they are ready again")

    # Leaving the group takes some time when nothing answers.
    with proxied.proxy.stall():
        for service in services.values():
            service.send(signal.SIGTERM)
        wait_for_all(lambda name: health[name].reason == "draining", "they say that they drain", 60)
        assert all(each.is_live for each in health.values())
        assert all(service.exit_code is None for service in services.values())
    for name, service in services.items():
        assert service.wait_for_exit() == 0
        assert health[name].ask("/livez")[0] == 0


def test_a_replica_without_partitions_is_ready_and_one_that_stands_by_is_not(pipeline: Pipeline) -> None:
    first, second, other = Health(), Health(), Health()
    for health in (first, second):
        pipeline.start("split", SPLIT_BY="Sex", PARTITIONS="1", **health.settings)
        wait_until_ready(pipeline, health)
    pipeline.start("split", SPLIT_BY="Rings", PARTITIONS="1", **other.settings)
    pipeline.wait_until(lambda: "SPLIT_BY=Sex" in other.reason, "the one with another setting says why it stands by")
    assert other.ready()["partitions"] == []
    assert other.is_live
    pipeline.wait_until(lambda: first.is_ready and second.is_ready, "the others are at work")
    assert sorted(len(each.ready()["partitions"]) for each in (first, second)) == [0, 1]


def test_figures_at_rest_equal_each_other_and_the_receipt(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    # A row of too few fields, which no split gets, and one without a number, which one of two splits rejects.
    good = ABALONE_FILE.read_bytes()
    source.write_bytes(good + b"M,1\n" + good.splitlines()[1].rpartition(b",")[0] + b",many\n")
    health = {name: Health() for name in SERVICES}
    for name in SERVICES:
        pipeline.start(name, **settings_of(name, source), **health[name].settings)
    receipt_file = receipt_path(pipeline.output, source)
    pipeline.wait_until(receipt_file.exists, "the source is delivered")
    receipt = json.loads(receipt_file.read_bytes())
    ingest, split, sink = health.values()
    pipeline.wait_until(lambda: (split.value("lag_rows"), sink.value("lag_rows")) == (0, 0), "nobody is behind", 10)
    pipeline.wait_until(lambda: sink.value("oldest_unsafe_row_seconds") == 0, "every row is safe", 10)

    rows = receipt["rows"]
    assert rows == good.count(b"\n") - 1 + 1
    assert ingest.value("rows_received_total") == rows + 1
    assert ingest.value("rows_sent_total") == split.value("rows_received_total") == rows
    in_files = sum(each["rows"] for each in receipt["splits"].values())
    assert split.value("rows_sent_total") == in_files == 2 * rows - 1
    assert sink.value("rows_received_total") == sink.value("rows_sent_total") == in_files
    assert receipt["rejected"]["codes"] == {"fields": 1}
    assert ingest.rejected() == {("", "fields"): 1}
    by_receipt = {
        (name, code): count
        for name, of_split in receipt["splits"].items()
        for code, count in of_split["rejected"]["codes"].items()
    }
    assert split.rejected() == by_receipt == {("Rings", "number"): 1}

    assert sink.value("safe_latency_seconds_count") == in_files
    assert 0 < sink.value("safe_latency_seconds_sum") < in_files * 60
    assert sink.value("checkpoint_duration_seconds_count") > 0
    assert split.value("transaction_duration_seconds_count") > 0
    assert ingest.value("transaction_duration_seconds_count") > 0
    assert sink.value("open_files") > 0
    assert (ingest.value("source_read_bytes"), ingest.value("source_size_bytes")) == (0, 0)


@pytest.mark.skipif(not shutil.which("promtool"), reason="there is no promtool here")
def test_metrics_are_well_formed_from_the_first_row_to_the_last(pipeline: Pipeline, big_file: Path) -> None:
    health = {name: Health() for name in SERVICES}
    for name, each in health.items():
        pipeline.start(name, **settings_of(name, big_file), **each.settings)
        wait_until_ready(pipeline, each)
    # Rows that are under way, as each service sees them, and those that are done.
    seen: set[tuple[bool, bool]] = set()

    def all_are_safe() -> bool:
        for each in health.values():
            given = each.ask("/metrics")[1]
            checked = subprocess.run(["promtool", "check", "metrics"], input=given, capture_output=True, check=False)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
        safe = health["sink"].value("rows_sent_total")
        seen.add((health["ingest"].value("rows_received_total") > 0, safe == 2 * 60 * 4_177))
        return safe == 2 * 60 * 4_177

    pipeline.wait_until(all_are_safe, "all rows are safe")
    assert seen >= {(True, False), (True, True)}


def test_lag_is_what_is_not_done_and_none_behind_the_last_transaction_s_marker(
    pipeline: Pipeline, huge_file: Path
) -> None:
    health = {name: Health() for name in SERVICES}
    read: list[tuple[float, float]] = []

    def has_read() -> bool:
        metrics = health["ingest"].metrics()
        read.append((metrics.get(("nacre_source_read_bytes",), 0), metrics.get(("nacre_source_size_bytes",), 0)))
        return bool(pipeline.services[0].events("source ended"))

    ingest = pipeline.start("ingest", **settings_of("ingest", huge_file), **health["ingest"].settings)
    pipeline.wait_until(has_read, "ingest has read all")
    size = huge_file.stat().st_size
    assert any(0 < done < size == whole for done, whole in read), "it was seen amid its file"
    ends = sum(pipeline.observer.ends("rows"))
    # Everything lies there before split begins.
    pipeline.wait_until(lambda: health["ingest"].value("rows_sent_total") == 300 * 4_177, "all is committed")
    lags: list[float] = []

    def has_split() -> bool:
        lags.append(health["split"].value("lag_rows"))
        return health["split"].value("rows_received_total") == health["ingest"].value("rows_sent_total")

    pipeline.start("split", SPLIT_BY="Sex", **health["split"].settings)
    pipeline.wait_until(has_split, "split has done all")
    assert 0 < max(lags) <= sum(pipeline.observer.ends("rows")) >= ends
    pipeline.wait_until(lambda: health["split"].value("lag_rows") == 0, "split is not behind", 10)
    pipeline.start("sink", **health["sink"].settings)
    pipeline.wait_for_files(expected_files(huge_file.read_bytes(), [ABALONE["Sex"]]))
    pipeline.wait_until(lambda: health["sink"].value("lag_rows") == 0, "sink is not behind", 10)
    assert ingest.stop()[0] == 0


def test_a_port_that_is_taken_is_refused_like_a_wrong_setting(pipeline: Pipeline) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        service = pipeline.start("sink", HTTP_PORT=str(port))
        assert service.wait_for_exit(30) == 78
    [refused] = service.events("cannot go on")
    assert refused["reason"].startswith(f"HTTP_PORT={port}: cannot listen there on HTTP_HOST=0.0.0.0: ")
    assert "Traceback" not in service.log()


@pytest.mark.parametrize("name", SERVICES)
def test_without_a_port_nothing_of_it_is_loaded(pipeline: Pipeline, name: str) -> None:
    loaded = {}
    for port in (0, free_port()):
        service = pipeline.start_under(
            "tests.harness.loaded_modules", name, **settings_of(name, ABALONE_FILE), HTTP_PORT=str(port)
        )
        pipeline.wait_for_event(service, "ready")
        assert service.stop()[0] == 0
        [told] = service.events("modules")
        loaded[port != 0] = {
            module
            for module in told["modules"]
            if module.startswith(("common.health", "prometheus_client", "http.server", "socketserver"))
        }
    assert loaded[False] == set()
    assert {"common.health.server", "prometheus_client"} < loaded[True]


def test_clients_that_say_nothing_hold_up_neither_others_nor_the_end(pipeline: Pipeline) -> None:
    health = Health()
    service = pipeline.start("sink", **health.settings)
    pipeline.wait_until(lambda: health.is_ready, "it is ready")
    with ExitStack() as held:
        for said in (b"", b"GET /metrics HTTP/1.1\r\n"):
            for _ in range(5):
                silent = held.enter_context(socket.create_connection(("127.0.0.1", health.port)))
                silent.sendall(said)
        began = time.monotonic()
        assert health.is_ready
        assert time.monotonic() - began < 1
        code, exit_s = service.stop()
    assert code == 0
    assert exit_s < 4


def test_rows_that_a_full_disk_keeps_out_of_the_files_count_as_lag(pipeline: Pipeline, tmp_path: Path) -> None:
    source, rows, health = tmp_path / "rows.csv", 1_000, {name: Health() for name in SERVICES}
    source.write_bytes(b"Sex,Rings\nM,1\n")
    pipeline.output.mkdir()
    disk = Disk(pipeline.output, 64)
    try:
        for name in SERVICES:
            pipeline.start(name, **settings_of(name, source), **health[name].settings)
        pipeline.wait_for_size(2 * len(b"Sex,Rings\nM,1\n"))
        pipeline.wait_until(lambda: health["sink"].value("lag_rows") == 0, "sink is not behind", 30)
        disk.fill()
        with source.open("ab") as file:
            file.write(b"F,2\n" * rows)
        pipeline.wait_until(lambda: "No space left" in health["sink"].reason, "the disk is full", 60)
        # A row of each split, and the marks that come with them.
        lag = 2 * rows + 100
        pipeline.wait_until(lambda: lag - 100 <= health["sink"].value("lag_rows") <= lag, "they wait", 30)
        with source.open("ab") as file:
            file.write(b"F,2\n" * rows)
        # Nothing fetches these.
        pipeline.wait_until(lambda: health["sink"].value("lag_rows") >= 4 * rows, "more rows wait", 30)
        disk.empty()
        pipeline.wait_until(lambda: health["sink"].value("lag_rows") == 0, "all is written", 60)
    finally:
        disk.close()
