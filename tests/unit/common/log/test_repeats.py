"""Log lines that are dropped because an earlier session wrote them, and lines that are news."""

import pytest
import structlog

from common.log import repeats
from common.log.repeats import begin_trouble, drop_repeats


@pytest.mark.parametrize("name", ["path", "folder", "source", "topic"])
def test_lines_of_two_things_are_both_written_in_trouble(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(repeats, "_repeats", repeats._Repeats())  # noqa: SLF001 - nothing else makes one
    begin_trouble()
    for value in ("one", "other"):
        drop_repeats(None, "warning", {"event": "left out", name: value})
        with pytest.raises(structlog.DropEvent):
            drop_repeats(None, "warning", {"event": "left out", name: value})
