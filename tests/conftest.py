"""One Kafka for all tests, and for each test a pipeline of its own."""

import os
import signal
import statistics
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from ops.kafka.local import LocalKafka
from ops.settings_table import MODELS
from tests.harness.listeners import Listeners, running_listeners
from tests.harness.pipeline import ABALONE_FILE, Pipeline
from tests.harness.processes import kill_services_of
from tests.harness.running_brokers import KAFKAS_OWN_DEFAULTS, running, running_kafka
from tests.harness.setting_names import names_of
from tests.harness.workload import Workload

# Every test has a deadline of its own; one for each example would tell how busy the machine is.
# `make fuzz` asks for more examples.
_EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES") or 100)
hypothesis.settings.register_profile("nacre", deadline=None, max_examples=_EXAMPLES)
hypothesis.settings.load_profile("nacre")

# A shell starts a background job with SIGINT ignored, and a process inherits that: children of the tests must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Nor shall a setting of the person who runs the tests reach the services; a broker may be named to them.
for _name in {name.upper() for model in MODELS.values() for name in names_of(model)}:
    if not _name.startswith("KAFKA_"):
        os.environ.pop(_name, None)
# A broker of a test lives too briefly for the optimizing compiler to pay: without it, it needs a third less.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
# By this the services of a run are known; its workers inherit it.
_RUN = "NACRE_TEST_RUN"
os.environ.setdefault(_RUN, uuid.uuid4().hex)

_OUTCOME = pytest.StashKey[pytest.TestReport]()
_BROKER_LOG_LINES = 20
_BRIEF_LINES = 12

# What takes a worker seconds to start, for several tests: most of them brokers of a special kind.
_STARTED_ONCE = {"behind", "browser", "done", "lax_bootstrap", "listeners", "lone", "secured", "strict"}

_WORKERS_PER_CORE = 2
_MOST_WORKERS = 8


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many tests run side by side: they wait more than they work, and each worker has a broker of its own."""
    return min(_WORKERS_PER_CORE * (os.cpu_count() or 1), _MOST_WORKERS)


# Before xdist looks which tests belong together.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that share what is costly to start run on one worker: each of the others would start its own."""
    for item in items:
        for name in _STARTED_ONCE.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(name))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let no service outlive the run: workers that are interrupted end before their tests can."""
    if not hasattr(config, "workerinput"):
        kill_services_of(f"{_RUN}={os.environ[_RUN]}")


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """The broker named by KAFKA_BOOTSTRAP_SERVERS, or one of the tests' own, as Kafka's defaults make it."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with running_kafka(KAFKAS_OWN_DEFAULTS) as kafka:
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
        for kafka in running:
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
    with running_kafka(KAFKAS_OWN_DEFAULTS) as kafka:
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
