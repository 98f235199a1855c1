"""The metrics, in one table, and a collector that reads a service's counts when Prometheus asks."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from common.counts import BOUNDS, Counts, Durations
from common.health.standing import Standing
from common.version import VERSION

_INGEST, _SPLIT, _SINK = _ALL = ("ingest", "split", "sink")
_Values = dict[tuple[str, ...], float]


class Described(Struct, frozen=True):
    """A metric: which services have it, what it says, and how it is read at a time in seconds since 1970."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    services: tuple[str, ...]
    text: str
    read: Callable[[Counts, float], float | _Values | Durations]
    labels: tuple[str, ...] = ()


def _sum_of(field: str) -> Callable[[Counts, float], float]:
    return lambda counts, _now: sum(getattr(each, field) for each in list(counts.partitions.values()))


def _oldest_unsafe_s(counts: Counts, now: float) -> float:
    times = [each.unsafe_since_ms for each in list(counts.partitions.values()) if each.unsafe_since_ms]
    return max(0.0, now - min(times) / 1000) if times else 0.0


def _source_bytes(counts: Counts, which: int) -> float:
    return sum(each.source_bytes()[which] for each in list(counts.partitions.values()))


METRICS = (
    Described(
        "nacre_rows_received_total",
        "counter",
        _ALL,
        "Rows that came in: records of sources (ingest), rows of the topic rows (split), rows for files (sink).",
        lambda counts, _now: counts.rows.received,
    ),
    Described(
        "nacre_rows_sent_total",
        "counter",
        _ALL,
        "Rows that went on for good: committed to Kafka (ingest; split, once for each split), safe in files (sink).",
        lambda counts, _now: counts.rows.sent,
    ),
    Described(
        "nacre_rows_rejected_total",
        "counter",
        (_INGEST, _SPLIT),
        'Rows that were rejected and committed as such, by split ("" by ingest, for every split) and reason.',
        lambda counts, _now: {key: times for key, times in list(counts.rows.rejected.items())},  # noqa: C416 - a wider type
        ("split", "reason"),
    ),
    Described(
        "nacre_lag_rows",
        "gauge",
        (_SPLIT, _SINK),
        "Records behind this replica's positions in its partitions, marks of sources and transactions among them.",
        _sum_of("lag_rows"),
    ),
    Described(
        "nacre_safe_latency_seconds",
        "histogram",
        (_SINK,),
        "From ingest's reading of a row to its being safe in its file, for each row.",
        lambda counts, _now: counts.latencies,
    ),
    Described(
        "nacre_oldest_unsafe_row_seconds",
        "gauge",
        (_SINK,),
        "Since when the oldest row that sink has fetched and that is not safe yet was read; 0 if there is none.",
        _oldest_unsafe_s,
    ),
    Described(
        "nacre_transaction_duration_seconds",
        "histogram",
        (_INGEST, _SPLIT),
        "Time that transactions with rows or positions took, from their beginning until readers have them.",
        lambda counts, _now: counts.transactions,
    ),
    Described(
        "nacre_checkpoint_duration_seconds",
        "histogram",
        (_SINK,),
        "Time that checkpoints took: fsync of the changed files, and the ledger's commit.",
        lambda counts, _now: counts.checkpoints,
    ),
    Described(
        "nacre_source_read_bytes",
        "gauge",
        (_INGEST,),
        "Bytes that are read of the files under way, compressed ones as they are.",
        lambda counts, _now: _source_bytes(counts, 0),
    ),
    Described(
        "nacre_source_size_bytes",
        "gauge",
        (_INGEST,),
        "Size of the files being read, without those already read to their end.",
        lambda counts, _now: _source_bytes(counts, 1),
    ),
    Described(
        "nacre_rebalances_total",
        "counter",
        _ALL,
        "How often the group has given this replica partitions.",
        lambda counts, _now: counts.rebalances,
    ),
    Described(
        "nacre_assigned_partitions",
        "gauge",
        _ALL,
        "Partitions that this replica has.",
        lambda counts, _now: len(counts.partitions),
    ),
    Described(
        "nacre_open_files",
        "gauge",
        (_SINK,),
        "Category files that are open.",
        _sum_of("open_files"),
    ),
)
READY = "nacre_ready"
READY_TEXT = "1 if /readyz answers 200, 0 if it answers 503."
BUILD = "nacre_build"
BUILD_TEXT = "Always 1; which version, service and loops (compiled or plain) these are."


class Counted(Collector):
    """Reads a service's counts when it is asked for them."""

    def __init__(self, standing: Standing, loops: str) -> None:
        self._standing = standing
        self._loops = loops

    def collect(self) -> Iterator[Metric]:
        """The metrics that this service has."""
        service, counts, now = self._standing.service, self._standing.counts, time.time()
        build = {"version": VERSION, "service": service, "loops": self._loops}
        yield InfoMetricFamily(BUILD, BUILD_TEXT, value=build)
        yield GaugeMetricFamily(READY, READY_TEXT, value=not self._standing.why_not_ready(time.monotonic()))
        for each in METRICS:
            if service in each.services:
                yield _family(each, each.read(counts, now))


def registry_of(standing: Standing, loops: str) -> CollectorRegistry:
    """What Prometheus gets: the service's metrics, and the process's."""
    registry = CollectorRegistry()
    registry.register(Counted(standing, loops))
    ProcessCollector(registry=registry)
    return registry


def _family(described: Described, value: float | _Values | Durations) -> Metric:
    if isinstance(value, Durations):
        bounds = [*map(str, BOUNDS), "+Inf"]
        buckets = [(bound, float(count)) for bound, count in zip(bounds, accumulate(value.counts), strict=True)]
        return HistogramMetricFamily(described.name, described.text, buckets=buckets, sum_value=value.total_s)
    family: CounterMetricFamily | GaugeMetricFamily
    if described.kind == "counter":
        family = CounterMetricFamily(described.name, described.text, labels=described.labels)
    else:
        family = GaugeMetricFamily(described.name, described.text, labels=described.labels)
    values: Iterable[tuple[tuple[str, ...], float]] = value.items() if isinstance(value, dict) else [((), value)]
    for labels, number in values:
        family.add_metric(labels, number)
    return family
