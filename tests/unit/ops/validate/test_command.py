"""`nacre validate` without a broker, in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ops.validate.command import main


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The command configures the log of this process, which other tests share."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("data", [b"a;b;c\n", b"sep=;", b"a;b;c"])
def test_a_header_that_is_too_short_to_decide_on_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert main([str(tmp_path), "--no-broker", "--delimiter", "auto"]) == 0
    assert f"a.csv: its header waits, {len(data)} bytes" in capsys.readouterr().out
