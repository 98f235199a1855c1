"""`nacre validate` without a broker, in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ops.validate.command import main


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command configures the log of its process, which is that of the other tests here."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("data", [b"a;b;c\n", b"sep=;", b"a;b;c"])
def test_a_beginning_that_nothing_can_be_told_from_yet_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert main([str(tmp_path), "--no-broker", "--delimiter", "auto"]) == 0
    assert f"a.csv: its header waits, {len(data)} bytes" in capsys.readouterr().out
