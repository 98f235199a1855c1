"""deploy/prometheus: each alert fires for its real cause, none fires beside it, and all go when the cause has gone.

A real Prometheus asks real services, by the rules of alerts.yml with every range, offset and `for:` divided by SOONER:
a minute is five seconds. Thresholds stay as they are. The rules as they are have promtool's tests.
"""

import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.chaos.proxy import proxied_kafka
from tests.harness.health import Health
from tests.harness.others_lag import offsets_of
from tests.harness.pipeline import SERVICES, Pipeline, Service
from tests.harness.prometheus import Prometheus, running_prometheus
from tests.harness.small_disk import Disk

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus: the alerts are not caused"),
]

SOONER = 12
HEADER = b"Sex,Rings\n"
# Half a row, cut at a line break inside quotes. By default, its other half may be a minute late.
HALF = b'"M\n'


class Watched:
    """A pipeline at work on a file that grows, and the Prometheus that watches it."""

    def __init__(self, pipeline: Pipeline, folder: Path, stack: ExitStack) -> None:
        self.pipeline = pipeline
        self.source = folder / "rows.csv"
        self.source.write_bytes(HEADER)
        self.health = {name: Health() for name in SERVICES}
        self.services = {name: self.start(name) for name in SERVICES}
        for health in self.health.values():
            pipeline.wait_until(lambda health=health: health.is_ready, "it is ready", 60)  # type: ignore[misc]
        ports = {name: health.port for name, health in self.health.items()}
        self.prometheus: Prometheus = stack.enter_context(running_prometheus(folder, ports, SOONER))
        pipeline.wait_until(lambda: self.prometheus.up() == dict.fromkeys(SERVICES, 1), "all are found", 30)

    def start(self, name: str, launcher: str = "") -> Service:
        """Start a service at its port."""
        own = {"ingest": {"INPUT": str(self.source), "SETTLE_S": "0", "UNTERMINATED_S": "600"}, "sink": {}}
        settings = {"SPLIT_BY": "Sex,Rings:int"} if name == "split" else own[name]
        if launcher:
            return self.pipeline.start_under(launcher, name, **settings, **self.health[name].settings)
        return self.pipeline.start(name, **settings, **self.health[name].settings)

    def append(self, rows: bytes) -> None:
        """Let the file grow."""
        with self.source.open("ab") as file:
            file.write(rows)

    def fires(self, *alerts: tuple[str, str], feed: bytes = b"", deadline_s: float = 120) -> None:
        """Wait until these alerts fire, each of a service, and no other; rows may come all the time."""

        def fire() -> bool:
            self.append(feed)
            return self.prometheus.alerts() == set(alerts)

        try:
            self.pipeline.wait_until(fire, f"{alerts} fire", deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{alerts or 'none'} should fire: {self.prometheus.ask('alerts')}") from error

    def is_calm(self, feed: bytes = b"") -> None:
        """Wait until none fires."""
        self.fires(feed=feed)


MakeWatched = Callable[[Pipeline], Watched]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[MakeWatched]:
    with ExitStack() as stack:
        yield lambda pipeline: Watched(pipeline, tmp_path, stack)


def test_a_service_is_killed_and_another_is_paused(pipeline: Pipeline, watch: MakeWatched) -> None:
    watched = watch(pipeline)
    watched.services["split"].kill()
    watched.fires(("NacreDown", "split"), ("NacreServiceMissing", "split"))
    watched.start("split")
    watched.is_calm()
    watched.services["sink"].send(signal.SIGSTOP)
    watched.fires(("NacreDown", "sink"), ("NacreServiceMissing", "sink"))
    watched.services["sink"].send(signal.SIGCONT)
    watched.is_calm()


def test_the_broker_is_stopped(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline], watch: MakeWatched
) -> None:
    watched = watch(make_pipeline(own_kafka.bootstrap))
    own_kafka.kill()
    watched.fires(*(("NacreNotReady", name) for name in SERVICES))
    own_kafka.start()
    watched.is_calm()


def is_committed(pipeline: Pipeline) -> bool:
    """Whether sink's group has committed the end of each of its partitions."""
    found = offsets_of(pipeline, "sink", ["categorized", "rejected"], committed=False)
    return bool(found) and all(each.committed == each.end for each in found)


def test_the_disk_is_full_while_rows_wait(pipeline: Pipeline, watch: MakeWatched) -> None:
    pipeline.output.mkdir()
    disk = Disk(pipeline.output, 64)
    try:
        watched = watch(pipeline)
        watched.append(b"M,1\n")
        pipeline.wait_until(lambda: watched.health["sink"].value("rows_sent_total") == 2, "the files are there", 60)
        # Otherwise the first write that fails may be that of an offset, and sink would know of no waiting row.
        pipeline.wait_until(lambda: is_committed(pipeline), "sink is at rest", 60)
        disk.fill()
        watched.append(b"M,1\n" * 200_000)
        alerts = [(name, "sink") for name in ("NacreNotReady", "NacreStalled", "NacreUnsafeRows")]
        # The oldest row has to be a minute old.
        watched.fires(*alerts, deadline_s=180)
        disk.empty()
        watched.is_calm()
    finally:
        disk.close()


def test_bad_rows_come(pipeline: Pipeline, watch: MakeWatched) -> None:
    watched = watch(pipeline)
    watched.append(b"M,1\nM\n")
    watched.fires(("NacreRowsRejected", "ingest"))
    watched.is_calm()
    watched.append(b"M,many\n")
    watched.fires(("NacreRowsRejected", "split"))
    watched.is_calm()


def test_a_file_ends_amid_a_row(pipeline: Pipeline, watch: MakeWatched) -> None:
    watched = watch(pipeline)
    watched.append(b"M,1\n" + HALF)
    watched.fires(("NacreSourceStandsStill", "ingest"))
    watched.append(b'",2\n')
    watched.is_calm()


def test_a_replica_dies_again_and_again(pipeline: Pipeline, watch: MakeWatched) -> None:
    watched = watch(pipeline)
    for _ in range(5):
        other = pipeline.start("split", SPLIT_BY="Sex,Rings:int")
        pipeline.wait_for_event(other, "partitions assigned")
        other.stop()
    watched.fires(("NacreRebalances", "split"))
    watched.is_calm()


def test_the_disk_is_slow(pipeline: Pipeline, watch: MakeWatched) -> None:
    watched = watch(pipeline)
    assert watched.services["sink"].stop()[0] == 0
    slow = watched.start("sink", "tests.harness.slow_disk")
    slowed = ("NacreSlowDisk", "sink")

    def is_told() -> bool:
        watched.append(b"M,1\n")
        return slowed in watched.prometheus.alerts()

    # Others may fire beside it for a moment: in their shorter ranges there may be no checkpoint at all.
    pipeline.wait_until(is_told, "NacreSlowDisk fires", 180)
    slow.kill()
    watched.start("sink")
    watched.is_calm(feed=b"M,1\n")


def test_the_broker_is_slow(make_pipeline: Callable[[str], Pipeline], watch: MakeWatched) -> None:
    with proxied_kafka() as kafka:
        watched = watch(make_pipeline(kafka.bootstrap))
        slowed = {("NacreSlowBroker", name) for name in ("ingest", "split")}

        def is_told() -> bool:
            watched.append(b"M,1\n")
            return slowed <= watched.prometheus.alerts()

        # Others may fire beside it, as on a slow disk.
        with kafka.proxy.latency(1.0):
            watched.pipeline.wait_until(is_told, "NacreSlowBroker fires", 180)
        watched.is_calm(feed=b"M,1\n")


def test_descriptors_run_out(pipeline: Pipeline, watch: MakeWatched) -> None:
    watched = watch(pipeline)
    sink = watched.services["sink"]
    before = resource.prlimit(sink.process_id, resource.RLIMIT_NOFILE)
    [(_, has)] = watched.prometheus.samples('process_open_fds{service="sink"}')
    resource.prlimit(sink.process_id, resource.RLIMIT_NOFILE, (int(has) + 5, before[1]))
    watched.fires(("NacreFilesRunOut", "sink"))
    resource.prlimit(sink.process_id, resource.RLIMIT_NOFILE, before)
    watched.is_calm()
