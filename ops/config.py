"""`nacre config [SERVICE [FLAG …]]`: what holds for each setting of the services, and where each value comes from."""

import argparse
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from msgspec import Struct

from common.errors import ConfigurationError
from common.escaping import escaped
from common.setting import Secret, Setting, settings_of, shown_value
from common.settings_reader import Parser, from_environment, from_flags, make_settings, parse_values
from ops.command_line import discard_output
from ops.settings_table import MODELS
from ops.text_table import text_table

_PROGRAM = "nacre config"
_POSITIONAL = {"ingest": "input"}
_OWN_FLAGS = frozenset({"--json", "-h", "--help"})
_PREFIX = "NACRE_"
# How alike a variable's name and a setting's have to be, from 0 to 1.
_LIKENESS = 0.85


class Held(Struct, frozen=True):
    """A setting as a service holds it. `value` is as JSON has it, None where it is not set; secrets are asterisks.

    `origin` is default, environment, flag, the file that holds a secret, or required where a value is missing.
    """

    variable: str
    value: str | int | float | None
    origin: str


class Config(Struct, frozen=True):
    """All settings of a service, and the line with which it would refuse them; empty if it would not."""

    settings: Sequence[Held]
    error: str = ""


def main(argv: list[str]) -> int:
    """Print the settings; return 0, or 78 if a service would refuse them."""
    program = _PROGRAM
    try:
        own, flags = _divide(argv)
        options = _parser().parse_args(own)
        program = f"nacre {options.service}" if options.service else _PROGRAM
        services = [options.service] if options.service else list(MODELS)
        configs = {service: read_config(service, flags) for service in services}
    except ConfigurationError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return error.exit_code
    meant = misspelt(os.environ)
    try:
        _print(configs, meant, as_json=options.json)
    except BrokenPipeError:
        discard_output()
    errors = {service: config.error for service, config in configs.items() if config.error}
    sys.stderr.write("".join(f"nacre {service}: {error}\n" for service, error in errors.items()))
    sys.stderr.write("".join(f"{_PROGRAM}: {name} is no setting: did you mean {of}?\n" for name, of in meant.items()))
    return ConfigurationError.exit_code if errors else 0


def _print(configs: dict[str, Config], meant: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        sys.stdout.buffer.write(orjson.dumps(_as_json(configs, meant), option=options))
    else:
        sys.stdout.write(_as_table(configs))
    sys.stdout.flush()


def _divide(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of this command, also where they stand last, and the flags of the service that it names.

    ConfigurationError where flags stand before the service; it quotes none, because a secret may be among them.
    """
    named = next((index for index, each in enumerate(argv) if not each.startswith("-")), len(argv)) + 1
    if not _OWN_FLAGS.issuperset(argv[: named - 1]):
        raise ConfigurationError(f"name the service before its flags, as in {_PROGRAM} split --split-by Sex")
    own = [each for each in argv[named:] if each in _OWN_FLAGS]
    return [*argv[:named], *own], [each for each in argv[named:] if each not in _OWN_FLAGS]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=_PROGRAM,
        usage=f"{_PROGRAM} [-h] [--json] [{{{','.join(MODELS)}}} [FLAG ...]]",
        description="Print what holds for each setting of the services in this environment, and where each value comes "
        "from. Secrets are not shown. Exit code 78 if a service would refuse its settings.",
        examples=("nacre config", "nacre config --json", "nacre config split --split-by Sex,Rings:int"),
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "service",
        nargs="?",
        choices=tuple(MODELS),
        help="this service alone, as it would be started with the flags that follow",
    )
    return parser


def read_config(service: str, argv: Sequence[str]) -> Config:
    """What a service would hold if it were started with these flags. ConfigurationError if it has no such flag."""
    model = MODELS[service]
    flags = from_flags(model, argv, _PROGRAM, _POSITIONAL.get(service))
    environment = from_environment(model)
    given = {**environment, **flags}
    made, _ = parse_values(model, given)
    origins = {**dict.fromkeys(environment, "environment"), **dict.fromkeys(flags, "flag")}
    held = [_hold(each, made, given, origins) for each in settings_of(model)]
    try:
        make_settings(model, given)
    except ConfigurationError as error:
        return Config(held, str(error))
    return Config(held)


def _hold(each: Setting, made: dict[str, Any], given: dict[str, object], origins: dict[str, str]) -> Held:
    origin = origins.get(each.name, "required" if each.is_required else "default")
    # A wrong value is kept as the text that was given.
    value = made.get(each.name, given.get(each.name, None if each.is_required else each.default))
    if each.kind is Secret:
        path = given.get(f"{each.name}_file")
        if value is None and path:
            origin = f"file {escaped(str(path))}"
        value = Secret("") if value is not None or path else None
    shown = None if value is None else shown_value(value)
    return Held(each.variable, escaped(shown) if isinstance(shown, str) else shown, origin)


def misspelt(variables: Iterable[str]) -> dict[str, str]:
    """Variables that are no setting and are called nearly like one, each with that one."""
    known = {each.variable for model in MODELS.values() for each in settings_of(model)}
    found = {}
    for name in sorted(set(variables) - known):
        close = difflib.get_close_matches(name.upper().removeprefix(_PREFIX), known, n=1, cutoff=_LIKENESS)
        if close:
            found[escaped(name)] = close[0]
    return found


def _as_json(configs: dict[str, Config], meant: dict[str, str]) -> dict[str, Any]:
    services = {
        service: {
            "error": config.error or None,
            "settings": {each.variable: {"value": each.value, "from": each.origin} for each in config.settings},
        }
        for service, config in configs.items()
    }
    return {"services": services, "misspelt": meant}


def _as_table(configs: dict[str, Config]) -> str:
    """A line for each setting; one that services hold differently has a line for each of its values."""
    services_by_held: dict[Held, list[str]] = {}
    for service, config in configs.items():
        for each in config.settings:
            services_by_held.setdefault(each, []).append(service)
    rows = [
        (each.variable, "all" if len(services) == len(configs) else ", ".join(services), _text(each), each.origin)
        for each, services in sorted(services_by_held.items(), key=lambda row: -len(row[1]))
    ]
    headings = ("setting", "services", "value", "from")
    if len(configs) == 1:
        return text_table((headings[0], *headings[2:]), [(row[0], *row[2:]) for row in rows])
    return text_table(headings, rows)


def _text(held: Held) -> str:
    if held.value is None:
        return "not set"
    return str(held.value).lower() if isinstance(held.value, bool) else str(held.value)
