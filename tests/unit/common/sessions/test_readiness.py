"""Whether a service is at work: a line for each change of state and of the cause, and no flood."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import LogCapture

from common.broker_errors.kinds import ErrorKind
from common.log import repeats
from common.log.repeats import drop_repeats
from common.sessions import readiness as readiness_module
from common.sessions.diagnosis import Diagnosis
from common.sessions.readiness import Readiness
from common.settings import ServiceSettings
from common.settings_reader import read_settings

SIX = [f"rows-{number}" for number in range(6)]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(readiness_module, "monotonic", found)
    return found


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    capture = LogCapture()
    lines: list[str] = []

    def keep(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        lines.append(f"{fields['event']} {fields.get('reason', fields.get('partitions', ''))}".strip())
        return fields

    before = structlog.get_config()
    structlog.configure(processors=[drop_repeats, keep, capture], cache_logger_on_first_use=False)
    monkeypatch.setattr(readiness_module, "log", structlog.get_logger())
    # As when a process starts.
    monkeypatch.setattr(repeats, "_repeats", repeats._Repeats())  # noqa: SLF001 - nothing else makes one
    yield lines
    structlog.configure(**before)


@pytest.fixture
def readiness() -> Readiness:
    return Readiness(read_settings(ServiceSettings, [], program="test"))


def test_a_cause_is_said_once_for_as_long_as_it_lasts(said: list[str], readiness: Readiness, clock: Clock) -> None:
    for _ in range(100):
        readiness.set_not_ready("refused")
        clock.now += 2
    assert said == ["not ready refused"]


def test_a_cause_that_changes_is_said_again_and_two_in_turn_are_no_flood(
    said: list[str], readiness: Readiness, clock: Clock
) -> None:
    for _ in range(100):
        readiness.set_not_ready("refused")
        readiness.set_not_ready("closed by 17")
        readiness.set_not_ready("closed by 18")
        clock.now += 2
    assert said == ["not ready refused", "not ready closed by 17"]
    clock.now += 100
    readiness.set_not_ready("refused")
    assert said[2:] == ["not ready refused"]


def test_the_present_reason_is_counted_whether_it_is_said_or_not(
    said: list[str], readiness: Readiness, clock: Clock
) -> None:
    assert readiness.counts.not_ready == "starting"
    for reason in ("refused", "closed by 17", "closed by 18"):
        readiness.set_not_ready(reason)
        assert readiness.counts.not_ready == reason
        clock.now += 1
    assert len(said) == 2
    readiness.set_ready(["rows-0"])
    assert readiness.counts.not_ready == ""


def test_after_it_was_ready_the_same_cause_is_news(said: list[str], readiness: Readiness, clock: Clock) -> None:
    readiness.set_not_ready("refused")
    readiness.set_ready(SIX)
    clock.now += 30
    readiness.set_not_ready("refused")
    assert said == ["not ready refused", f"ready {SIX}", "not ready refused"]


async def test_who_fails_again_and_again_right_after_being_ready_is_ready_only_when_it_lasts(
    said: list[str], readiness: Readiness, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "_STEADY_S", 0.01)
    for _ in range(50):
        readiness.set_ready(SIX)
        clock.now += 1
        readiness.set_not_ready("refused")
        clock.now += 1
    assert said == [f"ready {SIX}", "not ready refused"] * 5
    readiness.set_ready(SIX)
    while len(said) == 10:  # noqa: ASYNC110 - it offers no event
        await asyncio.sleep(0.01)
    assert said[10:] == [f"ready {SIX}"]
    assert readiness.is_ready


def test_lines_of_a_session_that_fails_are_written_once(said: list[str], readiness: Readiness) -> None:
    log = structlog.get_logger()
    for _ in range(10):
        log.info("partitions assigned", partitions=["rows-0", "rows-1"])
        log.info("partition taken up", partition=0, offset=1)
        readiness.set_not_ready("refused")
    log.info("partition taken up", partition=1, offset=1)
    assert [line.split()[:2] for line in said] == [
        ["partitions", "assigned"],
        ["partition", "taken"],
        ["not", "ready"],
        ["partition", "taken"],
    ]
    readiness.set_ready(["rows-0", "rows-1"])
    log.info("partitions assigned", partitions=["rows-0", "rows-1"])
    log.info("partitions assigned", partitions=["rows-0", "rows-1"])
    assert [line.split()[0] for line in said[4:]] == ["ready", "partitions", "partitions"]


def test_the_latest_line_about_partitions_is_true(said: list[str], readiness: Readiness) -> None:
    log = structlog.get_logger()
    for _ in range(3):
        log.info("partitions assigned", partitions=["rows-0"])
        readiness.set_not_ready("refused")
        log.info("partitions revoked", partitions=["rows-0"])
        log.info("partitions assigned", partitions=["rows-0"])
    about_partitions = [line for line in said if line.startswith("partitions")]
    assert [line.split()[1] for line in about_partitions] == ["assigned", "revoked", "assigned"]


async def test_a_failure_is_reported_with_its_cause(
    said: list[str], readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    causes = iter(["disk full: a.csv", "disk full: b.csv", "disk failing: b.csv"])

    async def diagnose(_error: BaseException, _settings: ServiceSettings) -> Diagnosis:
        reason = next(causes)
        return Diagnosis(ErrorKind.WAITS, reason, reason.partition(":")[0])

    monkeypatch.setattr(readiness_module, "diagnose", diagnose)
    readiness.set_ready(SIX)
    assert (await readiness.report(OSError())).reason == "disk full: a.csv"
    assert not readiness.is_ready
    # One cause is logged with its first reason, another with its own.
    await readiness.report(OSError())
    await readiness.report(OSError())
    assert said == [f"ready {SIX}", "not ready disk full: a.csv", "not ready disk failing: b.csv"]


def test_it_was_steady_once_it_was_ready_for_a_while(readiness: Readiness, clock: Clock) -> None:
    began = clock.now
    readiness.set_ready(SIX)
    clock.now += 1
    assert not readiness.was_steady_since(began)
    readiness.set_not_ready("refused")
    readiness.set_ready(SIX)
    clock.now += 30
    assert readiness.was_steady_since(began)
    readiness.set_not_ready("refused")
    failed = clock.now
    clock.now += 1000
    # It was steady before, not since.
    assert readiness.was_steady_since(failed)
    assert not readiness.was_steady_since(failed + 1)


async def test_a_failure_while_it_waits_to_be_steady_keeps_it_from_being_ready(
    said: list[str], readiness: Readiness, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "_STEADY_S", 0.01)
    for _ in range(6):
        readiness.set_ready(SIX)
        clock.now += 1
        readiness.set_not_ready("refused")
    await asyncio.sleep(0.05)
    assert not readiness.is_ready
    assert said[-1] == "not ready refused"
