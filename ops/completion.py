"""`nacre completion SHELL`: a script by which a shell completes commands, flags, choices and paths."""

import argparse
import importlib
from collections.abc import Sequence
from typing import NoReturn
from unittest.mock import patch

import shtab

from common.settings_reader import from_flags
from ops.__main__ import COMMANDS, SERVICES
from ops.command_line import write_out
from ops.settings_table import MODELS

_EXAMPLES = """\
examples:
  nacre completion bash > ~/.local/share/bash-completion/completions/nacre
  nacre completion zsh > ~/.zfunc/_nacre    # with fpath+=(~/.zfunc) before compinit in ~/.zshrc
"""


class _Found(Exception):  # noqa: N818 - a way out, not an error
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def main(argv: Sequence[str]) -> int:
    """Print the script."""
    parser = argparse.ArgumentParser(
        prog="nacre completion",
        description="Print a script by which a shell completes commands, flags, choices and paths.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    shell: str = parser.parse_args(argv).shell
    write_out(shtab.complete(_all_commands(), shell))
    return 0


def _all_commands() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="nacre")
    commands = whole.add_subparsers()
    for name, (_, line) in COMMANDS.items():
        own = _parser_of(name)
        if name == "ingest":
            # Not in its parser, which knows only flags.
            own.add_argument("path", nargs="*")
        _complete_paths(own)
        commands.add_parser(name, parents=[own], add_help=False, help=line)
    return whole


def _parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that a command makes when it is called: it gets no further than that."""

    def find(parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        raise _Found(parser)

    with patch.multiple(argparse.ArgumentParser, parse_args=find, parse_known_args=find):
        try:
            if command in SERVICES:
                # Not its main, which takes the process's signals and streams.
                from_flags(MODELS[command], [], f"nacre {command}", positional=None)
            else:
                importlib.import_module(COMMANDS[command][0]).main([])
        except _Found as found:
            return found.parser
    raise AssertionError(f"nacre {command} has no parser")


def _complete_paths(parser: argparse.ArgumentParser) -> None:
    """Offer paths for each value that is not one of a few."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them, and shtab reads it as well
        if isinstance(action.choices, dict):
            for each in action.choices.values():
                _complete_paths(each)
        elif action.nargs != 0 and action.choices is None:
            vars(action)["complete"] = shtab.FILE
