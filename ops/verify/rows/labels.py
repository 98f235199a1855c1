"""A field → its part of a category, found out anew, by decimal arithmetic. Pure."""

import re
from collections.abc import Callable
from decimal import Context, Decimal

from common.rows.reasons import Code
from services.split.categories.splits import Column, Float, Int

# A field's part, None if it is empty; or why it has none.
Label = str | None | Code

_MOST_DIGITS = 1000
_LARGEST_EXPONENT = 100
# As JavaScript writes numbers, these are without an exponent.
_PLAIN = range(-6, 21)
# Exact: a number has 1,000 digits, and its quotient by a step of 30 characters at most some 130 more.
_EXACT = Context(prec=2_000, Emin=-999_999_999_999_999, Emax=999_999_999_999_999)
_INT = re.compile(r"[ \t]*([+-]?[0-9]+)[ \t]*")
_FLOAT = re.compile(r"[ \t]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]+))?[ \t]*")


def labeller(column: Column, encoding: str) -> Callable[[bytes], Label]:
    """The function from a column's field to its label."""

    def label(field: bytes) -> Label:
        if not field:
            return None
        match column.kind:
            case Int():
                return _whole(field.decode("latin-1"))
            case Float(step=step):
                number = _number(field.decode("latin-1"))
                if isinstance(number, Code):
                    return number
                return _written(number) if step is None else _edge(number, step)
        try:
            return field.decode(encoding)
        except UnicodeDecodeError:
            return Code.ENCODING

    return label


def _whole(text: str) -> Label:
    match = _INT.fullmatch(text)
    if match is None or len(match[1].lstrip("+-")) > _MOST_DIGITS:
        return Code.NUMBER
    return str(int(match[1]))


def _number(text: str) -> Decimal | Code:
    match = _FLOAT.fullmatch(text)
    if match is None or sum(map(str.isdigit, match[1])) > _MOST_DIGITS:
        return Code.NUMBER
    number = _EXACT.create_decimal(match[1])
    if not number:
        return Decimal()
    # Capped, so that no exponent is too long to be read; capped ones are refused below.
    sign, digits = re.match(r"([+-]?)0*([0-9]*)", match[2] or "").groups()  # type: ignore[union-attr]  # it matches ""
    exponent = int(sign + (digits[:7] or "0"))
    number = number.scaleb(exponent, _EXACT)
    return number if abs(number.adjusted()) <= _LARGEST_EXPONENT else Code.NUMBER


def _written(number: Decimal) -> str:
    """A number as it is written: equal ones alike."""
    if not number:
        return "0"
    number = number.normalize(_EXACT)
    if number.adjusted() in _PLAIN:
        return f"{number:f}"
    sign, digits, _ = number.as_tuple()
    first, *others = map(str, digits)
    return f"{'-' * sign}{first}{'.' * bool(others)}{''.join(others)}e{number.adjusted()}"


def _edge(number: Decimal, step: Decimal) -> str:
    """The lower edge of the bin that a number is in, with as many decimals as the step is written with."""
    nth, rest = _EXACT.divmod(number, step)
    if rest < 0:
        # Not `-`, which rounds to 28 digits.
        nth = _EXACT.subtract(nth, Decimal(1))
    edge = _EXACT.multiply(nth, step)
    decimals = max(0, -int(step.as_tuple().exponent))
    return f"{edge or abs(edge):.{decimals}f}"
