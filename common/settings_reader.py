"""Reading settings: from flags, else from environment variables of the same names."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError

from common.errors import ConfigurationError
from common.settings import ServiceSettings

_MAX_SHOWN = 300

Settings = TypeVar("Settings", bound=ServiceSettings)


def read_settings(
    model: type[Settings], argv: Sequence[str], *, program: str, positional: str | None = None
) -> Settings:
    """Read settings from `argv`, else from the environment; `positional` names the setting that needs no flag.

    Raises ConfigurationError with one line for each wrong setting. `--help` prints and exits 0.
    """
    arguments = list(argv) if positional is None else _name_positional(model, argv, positional)
    try:
        # The keyword arguments are pydantic-settings' own and unknown to the model's signature.
        return model(_cli_parse_args=arguments, _cli_prog_name=program)  # type: ignore[call-arg]
    except ValidationError as error:
        lines = [_explain(item["loc"], item["msg"], item.get("input")) for item in error.errors()]
        raise ConfigurationError("; ".join(lines)) from None


def _explain(location: tuple[int | str, ...], message: str, value: object) -> str:
    name = ".".join(map(str, location)).upper()
    message = message.removeprefix("Value error, ")
    if not name:
        return message
    if message == "Field required":
        return f"{name} is not set (or --{name.lower().replace('_', '-')}); --help explains it"
    shown = "" if "PASSWORD" in name or "SECRET" in name else f" {_shortened(repr(value))}"
    return f"{name}{shown}: {_shortened(message)}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _name_positional(model: type[ServiceSettings], argv: Sequence[str], positional: str) -> list[str]:
    switches = {
        flag
        for name, field in model.model_fields.items()
        if field.annotation is bool
        for flag in (f"--{name.replace('_', '-')}", f"--no-{name.replace('_', '-')}")
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
