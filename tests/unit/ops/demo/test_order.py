"""The demo refuses in one line what it cannot do."""

from pathlib import Path

import pytest

from ops.demo.files import DemoError
from ops.demo.order import parse, take_order


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split-by", "Sex:whole"], "unknown type 'whole'"),
        (["--split-by", ""], "SPLIT_BY is empty"),
        (["--rows", "0"], "'0' is not a whole number from 1"),
        (["--rows", "many"], "'many' is not a whole number from 1"),
    ],
)
def test_wrong_arguments_are_reported(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
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
def test_an_input_that_cannot_be_sent_is_refused(tmp_path: Path, text: str | None, output: str, message: str) -> None:
    given = tmp_path / "in.csv"
    if text is not None:
        given.write_text(text)
    arguments = parse(["--input", str(given), "--output-dir", str(tmp_path / output)])
    with pytest.raises(DemoError, match=message):
        take_order(arguments, tmp_path)


def test_rows_are_repeated_into_a_file_of_its_own(tmp_path: Path) -> None:
    given = tmp_path / "in.csv"
    given.write_text("a\n1\n2\n")
    (tmp_path / "own").mkdir()
    arguments = parse(["--input", str(given), "--rows", "5", "--output-dir", str(tmp_path / "out")])
    order = take_order(arguments, tmp_path / "own")
    assert (order.rows, order.input) == (5, tmp_path / "own" / "in.csv")
    assert given.read_text() == "a\n1\n2\n"
