"""Sessions with a broker: how long what is refused is tried again."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import AuthenticationFailedError

from common.broker_errors.kinds import Kind
from common.errors import ConfigurationError
from common.sessions import readiness as readiness_module
from common.sessions import session as session_module
from common.sessions.diagnosis import Diagnosis
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from common.settings import ServiceSettings, read_settings

A_WEEK_S = 7 * 24 * 3600.0


class Life:
    """A service whose sessions are refused, at a clock of its own, after the seconds that `works_s` gives."""

    def __init__(self, works_s: list[float]) -> None:
        self.now = 0.0
        self.sessions = 0
        self._works_s = iter(works_s)

    async def session(self, readiness: Readiness, _stop: asyncio.Event) -> None:
        """One session; the last one ends well."""
        self.sessions += 1
        works_s = next(self._works_s, None)
        if works_s is None:
            return
        if works_s:
            readiness.set_ready(1)
        self.now += works_s
        raise AuthenticationFailedError

    async def pause(self, _stop: asyncio.Event, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds


async def live(monkeypatch: pytest.MonkeyPatch, works_s: list[float]) -> Life:
    life = Life(works_s)

    async def diagnose(_error: Exception, _settings: ServiceSettings) -> Diagnosis:
        return Diagnosis(Kind.REFUSED_IF_IT_LASTS, "user 'alice' is refused")

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
