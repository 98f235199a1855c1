"""`nacre` finds and calls its commands."""

import pytest

from ops.__main__ import main
from ops.demo import command as demo


def test_help_lists_every_command_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")] == [
        "ingest",
        "split",
        "sink",
        "acls",
        "begin",
        "completion",
        "config",
        "demo",
        "forget",
        "index",
        "kafka",
        "rejected",
        "report",
        "settings",
        "status",
        "tap",
        "top",
        "upgrade",
        "validate",
        "verify",
        "web",
    ]


def test_an_unknown_command_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demmo", "--rows", "3"]) == 2
    services, first = "ingest, split, sink", "acls, begin, completion, config, demo, forget, index, kafka, rejected"
    names = f"{services}, {first}, report, settings, status, tap, top, upgrade, validate, verify, web"
    assert capsys.readouterr().err == f"nacre: no command 'demmo'; the commands are {names}\n"


def test_no_command_prints_the_help_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: nacre COMMAND")


def test_arguments_go_to_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    assert "`SPLIT_BY`" in capsys.readouterr().out


def test_a_missing_extra_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lack(_argv: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setattr(demo, "main", lack)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "nacre demo: needs the optional packages: pip install 'nacre[ops]'\n"
