"""What a member with nothing to do notices of its brokers."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from common.broker_errors.kinds import ErrorKind
from common.sessions import at_work
from common.sessions.at_work import AtWork
from common.sessions.diagnosis import Diagnosis
from common.sessions.readiness import Readiness
from common.settings import ServiceSettings
from common.settings_reader import make_settings


class Member:
    """A consumer that has no partitions."""

    def assignment(self) -> frozenset[object]:
        """None."""
        return frozenset()


async def test_where_no_broker_comes_back_the_session_ends_so_that_the_next_one_asks_those_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def wait_for_broker(_: object, *, answers: bool, **__: object) -> None:
        asked.append(answers)
        if answers:
            await asyncio.Event().wait()

    async def diagnose(*_: object) -> Diagnosis:
        return Diagnosis(ErrorKind.WAITS, "nobody answers")

    monkeypatch.setattr(at_work, "wait_for_broker", wait_for_broker)
    monkeypatch.setattr(at_work, "_BROKER_PATIENCE_S", 0.01)
    monkeypatch.setattr("common.sessions.readiness.diagnose", diagnose)
    assigned = asyncio.Event()
    assigned.set()
    member: Any = Member()
    reporting = AtWork(member, assigned, set(), Readiness(make_settings(ServiceSettings, {})), lambda: None)
    with pytest.raises(KafkaError, match="no broker answers"):
        await reporting.report(asyncio.Event())
    assert asked == [False, True]
