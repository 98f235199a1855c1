"""Each command's help ends with examples of it, and each example is what the command takes."""

import argparse
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog

from common import settings_reader
from common.errors import ConfigurationError
from common.setting import settings_of
from common.settings_reader import read_settings
from ops.__main__ import COMMANDS, SERVICES, main
from ops.settings_table import MODELS
from ops.verify.settings import read_arguments

_TITLES = ("examples:", "example:")
POSITIONAL = {"ingest": "input"}


class Parsed(BaseException):
    """Raised once the arguments are parsed, before the command does anything."""


def call(command: str, arguments: Sequence[str]) -> None:
    """`nacre COMMAND ARGUMENTS`; of a service what comes after its signals and streams, which are the process's."""
    if command in SERVICES:
        program, positional = f"nacre {command}", POSITIONAL.get(command)
        read_settings(MODELS[command], arguments, program=program, positional=positional)
    else:
        main([command, *arguments])


@cache
def help_of(command: str) -> str:
    """What `nacre COMMAND --help` prints."""
    printed: list[str] = []

    def keep(_parser: argparse.ArgumentParser, text: str, _file: Any = None) -> None:
        printed.append(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "_print_message", keep)
        with pytest.raises(SystemExit) as left:
            call(command, ["--help"])
    assert left.value.code == 0
    return "".join(printed)


def examples_of(command: str) -> list[str]:
    """The lines below the help's last heading."""
    lines = help_of(command).splitlines()
    titles = [number for number, line in enumerate(lines) if line in _TITLES]
    assert titles, f"nacre {command} --help shows no example"
    return [line.strip() for line in lines[titles[-1] + 1 :]]


def words_of(example: str) -> list[str]:
    """An example's words as a shell gives them to the command."""
    lexer = shlex.shlex(example, posix=True, punctuation_chars="|>&;")
    lexer.whitespace_split = True
    words = list(lexer)
    ends = [number for number, word in enumerate(words) if word[0] in "|>&;"]
    return words[: ends[0]] if ends else words


def parse(command: str, arguments: Sequence[str]) -> None:
    """Parse an example as its command does, and the settings that are among its arguments."""
    parse_args, make_settings = argparse.ArgumentParser.parse_args, settings_reader.make_settings

    def parse_and_leave(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        parse_args(self, args, namespace)
        raise Parsed

    def make_and_leave(*given: Any) -> Any:
        make_settings(*given)
        raise Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_leave)
        patch.setattr(settings_reader, "make_settings", make_and_leave)
        with pytest.raises(Parsed):
            call(command, arguments)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    # Commands set up a log of their own.
    before = structlog.get_config()
    for model in MODELS.values():
        for each in settings_of(model):
            monkeypatch.delenv(each.variable, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_ends_with_examples_that_the_command_takes(command: str, tmp_path: Path) -> None:
    examples = examples_of(command)
    assert examples
    for example in examples:
        program, named, *arguments = words_of(example)
        assert (program, named) == ("nacre", command)
        parse(command, arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("verify", ["out", "--quik"]), ("split", ["--split-by", "a:b:c"]), ("kafka", ["--port", "x"])],
)
def test_an_example_that_is_wrong_would_be_found(command: str, arguments: list[str]) -> None:
    with pytest.raises((pytest.fail.Exception, SystemExit, ConfigurationError)):
        parse(command, arguments)


def test_the_settings_among_the_examples_of_verify_are_right() -> None:
    for example in examples_of("verify"):
        read_arguments(words_of(example)[2:])
