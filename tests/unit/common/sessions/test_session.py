"""Sessions with a broker: when the next begins, after how long a pause, and what ends the service."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from aiokafka.errors import AuthenticationFailedError, ConsumerStoppedError, KafkaConnectionError

from common.broker_errors.kinds import ErrorKind
from common.errors import ConfigurationError, ServiceError
from common.sessions import readiness as readiness_module
from common.sessions import session as session_module
from common.sessions.diagnosis import Diagnosis
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from common.settings import ServiceSettings
from common.settings_reader import read_settings
from common.waiting import Stopped

A_WEEK_S = 7 * 24 * 3600.0


class Life:
    """A service with a clock of its own whose sessions are refused, each after the seconds in `works_s`."""

    def __init__(self, works_s: list[float]) -> None:
        self.now = 0.0
        self.sessions = 0
        self._works_s = iter(works_s)

    async def session(self, readiness: Readiness, _stop: asyncio.Event) -> None:
        """One session; the last one succeeds."""
        self.sessions += 1
        works_s = next(self._works_s, None)
        if works_s is None:
            return
        if works_s:
            readiness.set_ready(["rows-0"])
        self.now += works_s
        raise AuthenticationFailedError

    async def pause(self, _stop: asyncio.Event, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds


async def live(monkeypatch: pytest.MonkeyPatch, works_s: list[float]) -> Life:
    life = Life(works_s)

    async def diagnose(_error: Exception, _settings: ServiceSettings) -> Diagnosis:
        return Diagnosis(ErrorKind.REFUSED_IF_IT_LASTS, "user 'alice' is refused")

    monkeypatch.setattr(session_module, "diagnose", diagnose)
    monkeypatch.setattr(session_module, "pause", life.pause)
    monkeypatch.setattr(session_module, "time", SimpleNamespace(monotonic=lambda: life.now))
    monkeypatch.setattr(readiness_module, "monotonic", lambda: life.now)
    settings = read_settings(ServiceSettings, [], program="test")
    await run_sessions(settings, life.session, asyncio.Event())
    return life


async def test_what_is_refused_again_and_again_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="tried"):
        await live(monkeypatch, [0.0] * 100)


async def test_also_where_each_session_is_at_work_for_an_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="tried"):
        await live(monkeypatch, [1.0] * 100)


async def test_what_was_refused_before_a_good_session_no_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rotation = [0.0] * 3
    life = await live(monkeypatch, [*rotation, A_WEEK_S, *rotation, A_WEEK_S, *rotation])
    assert life.sessions == len(rotation) * 3 + 3


class Failures:
    """A service whose sessions fail with these errors, one after the other; the next one returns."""

    def __init__(self, *errors: BaseException, kind: ErrorKind = ErrorKind.WAITS) -> None:
        self.errors = list(errors)
        self.kind = kind
        self.pauses_s: list[float] = []
        self.sessions = 0
        self.stop = asyncio.Event()

    async def session(self, _readiness: Readiness, _stop: asyncio.Event) -> None:
        """One session."""
        self.sessions += 1
        if self.errors:
            raise self.errors.pop(0)

    async def pause(self, _stop: asyncio.Event, seconds: float) -> None:
        """Do not wait, but note for how long."""
        self.pauses_s.append(seconds)

    async def diagnose(self, _error: Exception, _settings: ServiceSettings) -> Diagnosis:
        """Find the cause."""
        return Diagnosis(self.kind, "some cause")


Live = Callable[[Failures], "asyncio.Task[None]"]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Live:
    def begin(failures: Failures) -> "asyncio.Task[None]":
        monkeypatch.setattr(session_module, "diagnose", failures.diagnose)
        monkeypatch.setattr(session_module, "pause", failures.pause)
        settings = read_settings(ServiceSettings, [], program="test")
        return asyncio.create_task(run_sessions(settings, failures.session, failures.stop))

    return begin


async def test_a_session_that_returns_is_the_last(begin: Live) -> None:
    failures = Failures()
    await begin(failures)
    assert (failures.sessions, failures.pauses_s) == (1, [])


@pytest.mark.parametrize("error", [KafkaConnectionError("gone"), ConsumerStoppedError(), OSError(28, "disk full")])
async def test_another_begins_when_kafka_or_the_disk_fails_one(begin: Live, error: Exception) -> None:
    failures = Failures(error)
    await begin(failures)
    assert failures.sessions == 2


async def test_the_pauses_grow_up_to_a_limit(begin: Live) -> None:
    failures = Failures(*(KafkaConnectionError("gone") for _ in range(7)))
    await begin(failures)
    assert failures.pauses_s == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]


async def test_what_is_refused_is_tried_again_more_seldom(begin: Live) -> None:
    failures = Failures(*(KafkaConnectionError("refused") for _ in range(2)), kind=ErrorKind.REFUSED_IF_IT_LASTS)
    await begin(failures)
    assert failures.pauses_s == [4.0, 4.0]


async def test_what_no_waiting_mends_ends_the_service_at_once(begin: Live) -> None:
    failures = Failures(KafkaConnectionError("refused"), kind=ErrorKind.REFUSED)
    with pytest.raises(ConfigurationError, match="some cause"):
        await begin(failures)
    assert failures.sessions == 1


@pytest.mark.parametrize("error", [ServiceError("a person has to mend it"), KeyError("a defect")])
async def test_another_error_is_raised(begin: Live, error: Exception) -> None:
    with pytest.raises(type(error)):
        await begin(Failures(error))


async def test_a_session_that_was_stopped_before_it_began_anything_is_the_last(begin: Live) -> None:
    failures = Failures(Stopped())
    await begin(failures)
    assert failures.sessions == 1


async def test_none_begins_once_it_is_to_stop(begin: Live) -> None:
    failures = Failures()
    failures.stop.set()
    await begin(failures)
    assert failures.sessions == 0


async def test_a_stop_ends_the_search_for_a_cause(begin: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def diagnose_for_ever(_error: Exception, _settings: ServiceSettings) -> Diagnosis:
        await asyncio.Event().wait()
        raise AssertionError("it has waited")

    failures = Failures(KafkaConnectionError("gone"))
    running = begin(failures)
    monkeypatch.setattr(session_module, "diagnose", diagnose_for_ever)
    asyncio.get_running_loop().call_later(0.01, failures.stop.set)
    async with asyncio.timeout(5):
        await running
    assert failures.sessions == 1
