"""When the latest rejected rows are read again."""

from typing import Any

import pytest
from msgspec.structs import replace

from common.settings import ServiceSettings
from common.settings_reader import make_settings
from ops.web.latest_rejected import LatestRejected
from tests.harness.views import view


async def test_they_are_read_again_when_others_may_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader:
        def __init__(self, *_: object) -> None: ...

        async def begin(self) -> None: ...

    async def find_newest(*_: object, **__: object) -> list[Any]:
        return []

    for name, found in (("Reader", Reader), ("find_newest", find_newest), ("_INTERVAL_S", 0.0)):
        monkeypatch.setattr(f"ops.web.latest_rejected.{name}", found)
    latest = LatestRejected(make_settings(ServiceSettings, {}))
    assert await latest.read(view()) == []
    assert await latest.read(view()) is None
    # Other topics, which end where the former ones did.
    other = replace(view(), figures=replace(view().figures, rejected={"ingest": 5, "split": 0}))
    assert await latest.read(other) == []
    assert await latest.read(other) is None
    latest.forget()
    assert await latest.read(other) == []
