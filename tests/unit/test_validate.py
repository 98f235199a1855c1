"""`nacre validate` without a broker, in this process."""

from pathlib import Path

import pytest

from ops.validate import main


@pytest.mark.parametrize("data", [b"a;b;c\n", b"sep=;", b"a;b;c"])
def test_a_beginning_that_nothing_can_be_told_from_yet_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert main([str(tmp_path), "--no-broker", "--delimiter", "auto"]) == 0
    assert f"a.csv: its header waits, {len(data)} bytes" in capsys.readouterr().out
