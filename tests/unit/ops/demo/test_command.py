"""`nacre` finds its commands, and the demo refuses what it cannot do in one line."""

from pathlib import Path

import pytest

from ops.__main__ import main
from ops.demo import command as demo
from ops.demo.files import DemoError


def test_help_lists_every_command_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")] == [
        "acls",
        "begin",
        "demo",
        "index",
        "kafka",
        "rejected",
        "settings",
        "validate",
    ]


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demmo", "--rows", "3"]) == 2
    names = "acls, begin, demo, index, kafka, rejected, settings, validate"
    assert capsys.readouterr().err == f"nacre: no command 'demmo'; the commands are {names}\n"


def test_no_command_prints_the_help_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: nacre COMMAND")


def test_arguments_go_to_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    assert "`SPLIT_BY`" in capsys.readouterr().out


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lack(_argv: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setattr(demo, "main", lack)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "nacre demo: needs the optional packages: pip install 'nacre[ops]'\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split-by", "Sex:whole"], "unknown type 'whole'"),
        (["--split-by", ""], "SPLIT_BY is empty"),
        (["--rows", "0"], "'0' is not a whole number from 1"),
        (["--rows", "many"], "'many' is not a whole number from 1"),
    ],
)
def test_wrong_arguments_are_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.parse(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "output", "message"),
    [
        (None, "out", "no such file"),
        ("a,b\n", "out", "the file has no rows"),
        ("a,b\n1,2\n", ".", "is in the output folder"),
    ],
)
def test_what_cannot_be_carried_is_refused(tmp_path: Path, text: str | None, output: str, message: str) -> None:
    given = tmp_path / "in.csv"
    if text is not None:
        given.write_text(text)
    arguments = demo.parse(["--input", str(given), "--output-dir", str(tmp_path / output)])
    with pytest.raises(DemoError, match=message):
        demo.take_order(arguments, tmp_path)


def test_rows_are_repeated_into_a_file_of_its_own(tmp_path: Path) -> None:
    given = tmp_path / "in.csv"
    given.write_text("a\n1\n2\n")
    (tmp_path / "own").mkdir()
    arguments = demo.parse(["--input", str(given), "--rows", "5", "--output-dir", str(tmp_path / "out")])
    order = demo.take_order(arguments, tmp_path / "own")
    assert (order.rows, order.input) == (5, tmp_path / "own" / "in.csv")
    assert given.read_text() == "a\n1\n2\n"
