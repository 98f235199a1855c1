"""Reading settings: from flags, else from environment variables of the same names."""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from common.errors import ConfigurationError
from common.escaping import escaped
from common.setting import Secret, Setting, settings_of, shown_value, value_of
from common.settings import ServiceSettings

_MAX_SHOWN = 300

Settings = TypeVar("Settings", bound=ServiceSettings)


class ParserWithExamples(argparse.ArgumentParser):
    """Ends its help with examples: whole command lines."""

    def __init__(self, *, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self._examples = examples

    def format_help(self) -> str:
        """The help, and the examples below it."""
        lines = "".join(f"  {each}\n" for each in self._examples)
        title = "example" if len(self._examples) == 1 else "examples"
        return super().format_help() + (f"\n{title}:\n{lines}" if lines else "")


class Parser(ParserWithExamples):
    """Reports a wrong argument in one line, with the exit code of a wrong setting."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigurationError."""
        # One line, whatever an argument has in it.
        raise ConfigurationError(" ".join(escaped(message).split()))


def read_settings(
    model: type[Settings], argv: Sequence[str], *, program: str, positional: str | None = None
) -> Settings:
    """Read settings from `argv`, else from the environment; `positional` names the setting that needs no flag.

    Raises ConfigurationError with one line for all that is wrong. `--help` prints and exits 0.
    """
    return make_settings(model, {**from_environment(model), **from_flags(model, argv, program, positional)})


def from_flags(
    model: type[ServiceSettings], argv: Sequence[str], program: str, positional: str | None
) -> dict[str, object]:
    """The settings that the flags give, by name, as read_settings takes them. Raises ConfigurationError."""
    arguments = list(argv) if positional is None else _name_positional(model, argv, positional)
    parser = _parser(model, program)
    # The parser must not know -h: it would print the rest of a secret that begins with it.
    flags, unknown = parser.parse_known_args(["--help" if each == "-h" else each for each in arguments])
    if unknown:
        names = " and no ".join(_flags_in(unknown)) or "argument without a flag"
        parser.error(f"there is no {names}; --help names all")
    # Like an empty variable, an empty flag is no setting: a shell makes it of a variable that is not set.
    return {name: value for name, value in vars(flags).items() if value not in {None, ""}}


def _flags_in(arguments: Sequence[str]) -> list[str]:
    """The flags among these arguments, without values: one may be a secret whose flag is misspelt."""
    flags: list[str] = []
    may_be_value = False
    for each in arguments:
        if is_flag := each.startswith("-") and not may_be_value:
            flags.append(each.partition("=")[0])
        may_be_value = is_flag and "=" not in each
    return flags


def from_environment(model: type[ServiceSettings]) -> dict[str, str]:
    """The texts of the settings that the environment has, by name. An empty variable is no setting."""
    return {each.name: text for each in settings_of(model) if (text := os.environ.get(each.variable))}


def make_settings(model: type[Settings], values: Mapping[str, object]) -> Settings:
    """Settings with these values, or texts of them, by name. Raises ConfigurationError like read_settings."""
    made, wrong = parse_values(model, values)
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    try:
        return model(**made)
    except ValueError as error:
        raise ConfigurationError(_shortened(str(error))) from None


def parse_values(model: type[ServiceSettings], values: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    """The values of the settings that have a right one, by name, and a line for each of the others."""
    made: dict[str, Any] = {}
    wrong = []
    for each in settings_of(model):
        if each.name not in values:
            if each.is_required:
                wrong.append(f"{each.variable} is not set (or {each.flag}); --help explains it")
            continue
        try:
            made[each.name] = value_of(each, values[each.name])
        except ValueError as error:
            wrong.append(_explain(each, values[each.name], str(error)))
    return made, wrong


def _explain(given: Setting, value: object, message: str) -> str:
    shown = "" if given.kind is Secret else f" {_shortened(repr(shown_value(value)))}"
    return f"{given.variable}{shown}: {_shortened(message)}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _parser(model: type[ServiceSettings], program: str) -> Parser:
    examples = [f"{program} {each}" for each in model.examples]
    parser = Parser(prog=program, description=model.__doc__, allow_abbrev=False, add_help=False, examples=examples)
    parser.add_argument("--help", action="help", help="show this help message and exit")
    for each in settings_of(model):
        default = "required" if each.is_required else f"default: {each.default}"
        # The parser takes percent signs for its own.
        text = f"{each.rule.description} ({default})".replace("%", "%%")
        if each.kind is not bool:
            metavar = f"{{{','.join(each.choices)}}}" if each.choices else each.kind.__name__.lower()
            parser.add_argument(each.flag, metavar=metavar, help=text)
        elif each.rule.is_toggle:
            parser.add_argument(each.flag, action="store_true", default=None, help=text)
        else:
            parser.add_argument(each.flag, action=argparse.BooleanOptionalAction, default=None, help=text)
    return parser


def _name_positional(model: type[ServiceSettings], argv: Sequence[str], positional: str) -> list[str]:
    switches = {
        flag
        for each in settings_of(model)
        if each.kind is bool
        for flag in (each.flag, each.flag.replace("--", "--no-", 1))
    }
    named: list[str] = []
    given: str | None = None
    expects_value = False
    for argument in argv:
        is_flag = argument.startswith("-") and argument != "-"
        if not is_flag and not expects_value:
            if given is not None:
                raise ConfigurationError(
                    f"{positional.upper()} is given twice, {given!r} and {argument!r}: "
                    "name a folder, or put the glob in quotes"
                )
            given = argument
            named.append(f"--{positional}={argument}")
        else:
            named.append(argument)
        expects_value = is_flag and "=" not in argument and argument not in switches
    return named
