import aiokafka
import pytest

from common.process import library_check
from common.process.library_check import refuse_other_aiokafka


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_check, "linger", lambda code, _say: code)


def test_another_aiokafka_is_a_line_and_the_exit_code_of_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(aiokafka, "__version__", "0.13.0")
    assert refuse_other_aiokafka("nacre begin") == 78
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("nacre begin: aiokafka 0.13.0 is installed")


def test_the_right_one_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse_other_aiokafka("nacre begin") == 0
    assert not capsys.readouterr().err
