"""What a setting is: a field of a frozen dataclass, and how its text becomes its value.

Written here rather than taken from pydantic, whose import took 0.12 s and 12 MiB of every service's start.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct

# Some 30 years in seconds, and the largest number in a ledger: Python accepts larger ones, timers and SQLite do not.
_MAX_NUMBER = 10**9
_MAX_COUNT = 2**63 - 1
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "y", "on", "t"), True),
    **dict.fromkeys(("false", "0", "no", "n", "off", "f"), False),
}
_RULE = "rule"
# What may hold a password in an address, as https://user:password@host has it, up to the last @: one that is mistyped
# may lack its scheme, or have any sign in its password.
_USER_IN_ADDRESS = re.compile(r"\A(?:([A-Za-z][A-Za-z0-9+.-]*://).*|.*:.*)@", re.DOTALL)
_HIDDEN = "**********"


class Secret:
    """A text that is not shown where settings are."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return _HIDDEN


class Rule(Struct, frozen=True):
    """What a setting is for, and what it may be.

    `at_least`, `above` and `at_most` are of numbers, `pattern` of the whole of a text. `check` returns the text as it
    is kept, or raises ValueError. `is_toggle`: it has a flag that sets it, and none that takes it back.
    """

    description: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    pattern: str | None = None
    check: Callable[[str], str] | None = None
    is_toggle: bool = False


class Setting(Struct, frozen=True):
    """A setting of a model. `kind` is the type of its value; `is_optional`: None is one too."""

    name: str
    kind: Any
    is_optional: bool
    is_required: bool
    default: Any
    rule: Rule

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return self.name.upper()

    @property
    def flag(self) -> str:
        """Its flag on a command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values that it may have; empty if there is no such list."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()


def setting(default: Any = MISSING, *, description: str, **rule: Any) -> Any:
    """A field of a model: its default, unless it has to be given, and its Rule."""
    return dataclasses.field(default=default, metadata={_RULE: Rule(description, **rule)})


def settings_of(model: Any) -> Iterator[Setting]:
    """The settings of a model, in their order."""
    for field in dataclasses.fields(model):
        kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        [kind] = [each for each in kinds if each is not NoneType]
        is_optional, is_required = NoneType in kinds, field.default is MISSING
        yield Setting(field.name, kind, is_optional, is_required, field.default, field.metadata[_RULE])


def value_of(given: Setting, value: object) -> object:
    """The setting's value from its text, or from a value, checked. ValueError says what it may be."""
    rule = given.rule
    if value is None and given.is_optional:
        return None
    found = _parsed(given, value) if isinstance(value, str) else value
    if isinstance(found, int | float) and not isinstance(found, bool):
        _check_number(rule, found)
    text = found.reveal() if isinstance(found, Secret) else found
    if isinstance(text, str | Path):
        # Bytes of the environment that are not UTF-8 arrive as surrogates, which can be neither logged nor sent.
        if any("\ud800" <= sign <= "\udfff" for sign in str(text)):
            raise ValueError("not UTF-8")
        if rule.pattern is not None and not re.fullmatch(rule.pattern, str(text)):
            raise ValueError(f"it has to match {rule.pattern}")
    return rule.check(found) if rule.check is not None and isinstance(found, str) else found


def _parsed(given: Setting, text: str) -> object:
    kind = given.kind
    if given.choices:
        if text not in given.choices:
            raise ValueError(f"there are {', '.join(given.choices)}")
        return text
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError("there are true and false")
        return _BOOLEANS[text.lower()]
    if kind in {int, float}:
        try:
            # 6.0 is a whole number, as templates write it.
            return int(text.removesuffix(".0")) if kind is int else float(text)
        except ValueError:
            raise ValueError("it has to be a whole number" if kind is int else "it has to be a number") from None
    return kind(text)


def _check_number(rule: Rule, number: float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError("it has to be a number")
    if rule.at_least is not None and number < rule.at_least:
        raise ValueError(f"at least {rule.at_least}")
    if rule.above is not None and number <= rule.above:
        raise ValueError(f"more than {rule.above}")
    at_most = rule.at_most
    if at_most is None:
        at_most = _MAX_NUMBER if isinstance(number, float) else _MAX_COUNT
    if number > at_most:
        raise ValueError(f"at most {at_most}")


def shown(settings: Any) -> dict[str, Any]:
    """The settings that have a value, as JSON has them; of secrets, asterisks."""
    values = {each.name: getattr(settings, each.name) for each in settings_of(settings)}
    return {name: shown_value(value) for name, value in values.items() if value is not None}


def shown_value(value: object) -> str | int | float:
    """A setting's value as JSON has it; asterisks for a secret, and for user and password in an address."""
    if isinstance(value, int | float):
        return value
    return _USER_IN_ADDRESS.sub(lambda found: f"{found[1] or ''}{_HIDDEN}@", str(value))
