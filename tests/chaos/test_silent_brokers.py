"""A broker that falls silent, as no error tells: /readyz says so within five seconds, and that it is back."""

import os
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from ops.kafka.local import LocalKafka
from ops.kafka.settings import PREFERENCES
from tests.harness.broker import hanging
from tests.harness.chaos.proxy import ProxiedKafka, proxied_kafka
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.health import Health
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline
from tests.harness.running_brokers import running_kafka

MakePipeline = Callable[[str], Pipeline]
RecordProperty = Callable[[str, object], None]

SEEN_WITHIN_S = 5.0
SILENT = "has not answered for"
# Longer than a request may take.
SILENT_S = 12.0
HEADER, *ROWS = ABALONE_FILE.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def frozen() -> Iterator[LocalKafka]:
    """A broker that each test freezes for a while, and leaves at work."""
    with running_kafka(PREFERENCES) as kafka:
        yield kafka


@pytest.fixture
def proxied() -> Iterator[ProxiedKafka]:
    with proxied_kafka() as kafka:
        yield kafka


class Watched:
    """All three services at work on a file that grows, and what each says of itself."""

    def __init__(self, pipeline: Pipeline, **settings: str) -> None:
        self.pipeline = pipeline
        self.health = {name: Health() for name in SERVICES}
        self._source = pipeline.folder / "rows.csv"
        self._source.write_bytes(HEADER)
        self.row_count = 0
        for name, health in self.health.items():
            pipeline.start(name, INPUT=str(self._source), SPLIT_BY="Sex", **health.settings, **settings)
        pipeline.wait_until(self.are_ready, "all are ready")
        self.carry(ROWS[:100])

    def append(self, rows: list[bytes]) -> None:
        """Append rows to the file."""
        self.row_count += len(rows)
        with self._source.open("ab") as source:
            source.writelines(rows)

    def carry(self, rows: list[bytes]) -> None:
        """Append rows, and wait until every row is in its file, once."""
        self.append(rows)
        self.pipeline.wait_for_files(expected_files(self._source.read_bytes(), [ABALONE["Sex"]]), 60)

    def are_ready(self) -> bool:
        """Whether all say that they are ready."""
        return all(health.is_ready for health in self.health.values())

    def reasons(self) -> dict[str, str]:
        """Why each is not ready."""
        return {name: health.reason for name, health in self.health.items()}

    def wait_until_seen(self) -> float:
        """Wait until each says that its broker is silent; return after how many seconds all have."""
        return self.pipeline.wait_until(
            lambda: all(SILENT in reason for reason in self.reasons().values()), "each says so", SEEN_WITHIN_S
        )


@pytest.mark.alone
@pytest.mark.parametrize("settings", [{}, {"SESSION_TIMEOUT_S": "60"}], ids=["default", "session of a minute"])
def test_a_broker_that_is_frozen_is_noticed_and_so_is_its_return(
    frozen: LocalKafka, make_pipeline: MakePipeline, settings: Mapping[str, str], record_property: RecordProperty
) -> None:
    watched = Watched(make_pipeline(frozen.bootstrap), **settings)
    with hanging(frozen):
        frozen_at = time.monotonic()
        record_property("seconds until all say that their broker is frozen", watched.wait_until_seen())
        assert [health.value("ready") for health in watched.health.values()] == [0, 0, 0]
        watched.append(ROWS[100:200])
        while time.monotonic() < frozen_at + SILENT_S:
            reasons = watched.reasons()
            assert all(reasons.values()), reasons
            assert all(health.is_live for health in watched.health.values())
    took_s = watched.pipeline.wait_until(watched.are_ready, "all are ready again", SEEN_WITHIN_S)
    record_property("seconds until all are ready again after a freeze", took_s)
    watched.carry(ROWS[200:])


@pytest.mark.alone
def test_a_network_that_drops_everything_is_noticed(
    proxied: ProxiedKafka, make_pipeline: MakePipeline, record_property: RecordProperty
) -> None:
    watched = Watched(make_pipeline(proxied.bootstrap))
    with proxied.proxy.half_open():
        record_property("seconds until all say that nothing comes through", watched.wait_until_seen())
        watched.append(ROWS[100:200])
    # The connections never work again: each is given up with its request.
    took_s = watched.pipeline.wait_until(watched.are_ready, "all are ready again", 60)
    record_property("seconds until all are ready again behind dead connections", took_s)
    watched.carry(ROWS[200:])


@pytest.mark.alone
def test_a_standard_input_that_waits_for_rows_notices_it_too(frozen: LocalKafka, make_pipeline: MakePipeline) -> None:
    pipeline, health = make_pipeline(frozen.bootstrap), Health()
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as standard_input, os.fdopen(writing, "wb") as rows:
        ingest = pipeline.start_ingest_of(standard_input, **health.settings)
        rows.write(HEADER)
        rows.flush()
        pipeline.wait_until(lambda: health.is_ready, "it is ready")
        with hanging(frozen):
            pipeline.wait_until(lambda: SILENT in health.reason, "it says so", SEEN_WITHIN_S)
        pipeline.wait_until(lambda: health.is_ready, "it is ready again", SEEN_WITHIN_S)
        rows.writelines(ROWS)
    assert ingest.wait_for_exit() == 0
    [ended] = ingest.events("source ended")
    assert ended["rows"] == len(ROWS)


def test_neither_a_slow_network_nor_load_is_taken_for_silence(
    proxied: ProxiedKafka, make_pipeline: MakePipeline
) -> None:
    watched = Watched(make_pipeline(proxied.bootstrap))
    seen = set[str]()

    def is_carried() -> bool:
        seen.update(watched.reasons().values())
        return watched.health["sink"].value("rows_sent_total") == watched.row_count

    # An answer takes 1.6 s.
    with proxied.proxy.latency(0.8):
        watched.append(ROWS[100:])
        watched.pipeline.wait_until(is_carried, "the rows are in their files")
    watched.append(60 * ROWS)
    watched.pipeline.wait_until(is_carried, "many rows are in their files")
    assert not [reason for reason in seen if SILENT in reason]
