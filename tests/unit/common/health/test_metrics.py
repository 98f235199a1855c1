"""What a scrape finds for some counts, what promtool says of it, and that docs/metrics.md has every metric."""

import shutil
import subprocess
import time

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from common.counts import BOUNDS, Counts
from common.health.metrics import BUILD, BUILD_TEXT, METRICS, READY, READY_TEXT, registry_of
from common.health.standing import Standing
from common.rows.reasons import Code
from common.version import VERSION
from tests.harness.pages import text_of
from tests.harness.pipeline import SERVICES

BEGIN, END = "<!-- metrics -->", "<!-- /metrics -->"
# What is counted of every process, by prometheus_client.
OF_PROCESSES = "process_"


def counts() -> Counts:
    found = Counts(not_ready="")
    found.rows.received, found.rows.sent = 10, 18
    found.rows.reject("Sex", Code.COLUMN, 2)
    found.rows.reject('odd "\\\n', Code.NUMBER)
    found.transactions.add(0.02)
    found.checkpoints.add(0.3)
    found.latencies.add(0.7, 18)
    found.latencies.add(1_000, 2)
    found.assign([("categorized", 0), ("categorized", 1)])
    first, second = found.of(("categorized", 0)), found.of(("categorized", 1))
    first.lag_rows, second.lag_rows = 3, 4
    first.open_files, second.open_files = 1, 2
    first.unsafe_since_ms, second.unsafe_since_ms = 0, int(1000 * time.time()) - 60_000
    first.source_bytes = lambda: (5, 10)
    second.source_bytes = lambda: (7, 20)
    return found


def exposed(service: str, found: Counts) -> str:
    standing = Standing(service, found, lambda: False, time.monotonic())
    return generate_latest(registry_of(standing, "compiled")).decode()


def families(service: str, found: Counts) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(exposed(service, found))}


def samples(service: str, found: Counts) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, in the order of their names."""
    parsed = families(service, found).values()
    return {(each.name, *each.labels.values()): each.value for family in parsed for each in family.samples}


def test_each_service_has_its_own_metrics_in_sums_over_its_partitions() -> None:
    ingest, split, sink = (samples(service, counts()) for service in SERVICES)
    for found in (ingest, split, sink):
        assert found["nacre_rows_received_total",] == 10
        assert found["nacre_rows_sent_total",] == 18
        assert found["nacre_rebalances_total",] == 1
        assert found["nacre_assigned_partitions",] == 2
    assert (ingest["nacre_source_read_bytes",], ingest["nacre_source_size_bytes",]) == (12, 30)
    assert split["nacre_rows_rejected_total", "column", "Sex"] == 2
    assert split["nacre_rows_rejected_total", "number", 'odd "\\\n'] == 1
    assert split["nacre_lag_rows",] == sink["nacre_lag_rows",] == 7
    assert sink["nacre_open_files",] == 3
    assert 60 <= sink["nacre_oldest_unsafe_row_seconds",] < 70
    assert ("nacre_lag_rows",) not in ingest
    assert ("nacre_safe_latency_seconds_count",) not in split


def test_a_histogram_counts_up_to_each_of_its_bounds() -> None:
    found = samples("sink", counts())
    assert found["nacre_safe_latency_seconds_bucket", "0.5"] == 0
    assert found["nacre_safe_latency_seconds_bucket", "1.0"] == 18
    assert found["nacre_safe_latency_seconds_bucket", str(BOUNDS[-1])] == 18
    assert found["nacre_safe_latency_seconds_bucket", "+Inf"] == 20
    assert found["nacre_safe_latency_seconds_count",] == 20
    assert found["nacre_safe_latency_seconds_sum",] == pytest.approx(18 * 0.7 + 2_000)


def test_nothing_is_unsafe_before_a_row_has_come() -> None:
    assert samples("sink", Counts())["nacre_oldest_unsafe_row_seconds",] == 0


def test_it_says_which_build_it_is_and_whether_it_is_ready() -> None:
    [build] = families("split", counts())["nacre_build_info"].samples
    assert build.labels == {"version": VERSION, "service": "split", "loops": "compiled"}
    assert samples("split", counts())["nacre_ready",] == 1
    assert samples("split", Counts())["nacre_ready",] == 0


@pytest.mark.parametrize("service", SERVICES)
def test_promtool_finds_nothing_to_mend(service: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    for found in (Counts(), counts()):
        given = exposed(service, found).encode()
        checked = subprocess.run([promtool, "check", "metrics"], input=given, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def table() -> str:
    def row(name: str, kind: str, services: tuple[str, ...], text: str) -> str:
        return f"| `{name}` | {kind} | {'all' if services == SERVICES else ', '.join(services)} | {text} |"

    rows = [row(f"{BUILD}_info{{version,service,loops}}", "gauge", SERVICES, BUILD_TEXT)]
    rows.append(row(READY, "gauge", SERVICES, READY_TEXT))
    for each in METRICS:
        labels = f"{{{','.join(each.labels)}}}" if each.labels else ""
        rows.append(row(each.name + labels, each.kind, each.services, each.text))
    return "\n".join(["| metric | kind | services | what |", "| --- | --- | --- | --- |", *rows])


def test_the_page_has_every_metric() -> None:
    text = text_of("docs/metrics.md")
    assert text.count(BEGIN) == text.count(END) == 1
    held = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert held == table(), f"put this between the markers:\n{table()}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_names_what_a_service_exposes_and_nothing_else(service: str) -> None:
    held = text_of("docs/metrics.md").partition(BEGIN)[2].partition(END)[0].splitlines()[3:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in held]
    named = {row[0].strip("`").partition("{")[0]: row[1] for row in rows if row[2] == "all" or service in row[2]}
    found = families(service, counts()).values()
    # In the text format a counter's family lacks the ending of its samples.
    kinds = {each.name + ("_total" if each.type == "counter" else ""): each.type for each in found}
    assert {name: kind for name, kind in kinds.items() if not name.startswith(OF_PROCESSES)} == named
    assert "process_resident_memory_bytes" in kinds
