"""One Kafka for all tests, and for each test a pipeline of its own."""

import os
import statistics
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from ops.kafka import LocalKafka
from tests.integration.listeners import Listeners, running_listeners
from tests.integration.pipeline import ABALONE_FILE, Pipeline
from tests.integration.workload import Workload

# Every test has a deadline of its own; one for each example would tell how busy the machine is.
hypothesis.settings.register_profile("nacre", deadline=None)
hypothesis.settings.load_profile("nacre")

_OUTCOME = pytest.StashKey[pytest.TestReport]()
_BROKER_LOG_LINES = 20
_BRIEF_LINES = 12

_brokers: list[LocalKafka] = []


@contextmanager
def _local_kafka() -> Iterator[LocalKafka]:
    with LocalKafka() as kafka:
        _brokers.append(kafka)
        yield kafka
        _brokers.remove(kafka)


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """The broker named by KAFKA_BOOTSTRAP_SERVERS, or one of the tests' own."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with _local_kafka() as kafka:
        yield kafka.bootstrap


@pytest.fixture(scope="session")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The abalone data set 60 times in a row: 250,620 rows, work for some seconds."""
    return _abalone(tmp_path_factory.mktemp("big"), 60)


@pytest.fixture(scope="session")
def huge_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The abalone data set 300 times in a row, because ingest is through with a big file in a fraction of a second."""
    return _abalone(tmp_path_factory.mktemp("huge"), 300)


def _abalone(folder: Path, times: int) -> Path:
    header, _, rows = ABALONE_FILE.read_bytes().partition(b"\n")
    path = folder / "abalone.csv"
    path.write_bytes(header + b"\n" + rows * times)
    return path


@pytest.fixture
def make_pipeline(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Pipeline]]:
    """Pipelines at any broker; they are ended with the test, their logs printed when it failed."""
    pipelines: list[Pipeline] = []

    def make(bootstrap: str) -> Pipeline:
        folder = tmp_path / f"pipeline-{len(pipelines)}"
        folder.mkdir()
        pipelines.append(Pipeline(bootstrap, f"test-{uuid.uuid4().hex[:12]}.", folder))
        return pipelines[-1]

    yield make
    for pipeline in pipelines:
        pipeline.close()
    outcome = request.node.stash.get(_OUTCOME, None)
    if outcome is not None and outcome.failed:
        for service in (service for pipeline in pipelines for service in pipeline.services):
            print(f"\n--- {service.log_path.name}, exit code {service.exit_code}\n{service.log()}")  # noqa: T201
        for kafka in _brokers:
            lines = (kafka.data_dir / "broker.log").read_text(errors="replace").splitlines()[-_BROKER_LOG_LINES:]
            print(f"\n--- the end of the log of the broker at {kafka.bootstrap}", *lines, sep="\n")  # noqa: T201


@pytest.fixture
def pipeline(bootstrap: str, make_pipeline: Callable[[str], Pipeline]) -> Pipeline:
    """A pipeline at the tests' broker."""
    return make_pipeline(bootstrap)


@pytest.fixture
def workload_for(pipeline: Pipeline, big_file: Path, huge_file: Path) -> Callable[[str], Workload]:
    """A workload that one service, named, has long enough to do that it can be disturbed several times."""

    def begin(name: str) -> Workload:
        return Workload(pipeline, huge_file, ("*",)) if name == "ingest" else Workload(pipeline, big_file)

    return begin


@pytest.fixture
def own_kafka() -> Iterator[LocalKafka]:
    """A broker that a test may stop and kill."""
    with _local_kafka() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    """A broker with a listener of each kind."""
    with running_listeners(tmp_path_factory.mktemp("listeners")) as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a test's outcome for its fixtures."""
    report = yield
    if report.when == "call":
        item.stash[_OUTCOME] = report
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the durations that tests have recorded: a service's exit after a signal, its return after a kill.

    And each failure once more, in a few lines: its report stands above pages of logs.
    """
    durations: defaultdict[str, list[float]] = defaultdict(list)
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            for name, value in report.user_properties:
                durations[name].append(float(value))
    for name, values in sorted(durations.items()):
        terminalreporter.write_line(
            f"{name}: {len(values)} times, median {statistics.median(values):.2f}, slowest {max(values):.2f}"
        )
    for report in (*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")):
        told = [line for line in report.longreprtext.splitlines() if line.startswith(("E  ", "tests/"))]
        terminalreporter.write_line(f"{report.nodeid}, {report.when}, after {getattr(report, 'duration', 0):.0f} s:")
        terminalreporter.write_line("\n".join(told[-_BRIEF_LINES:]))
