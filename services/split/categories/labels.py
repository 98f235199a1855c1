"""Fields → labels: the text that stands for a field in its category, by its column's type. Pure."""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial

from msgspec import Struct

from common.rows.reasons import Code, RowError
from services.split.categories.splits import Column, Float, Int, Kind, Text

_DIGITS_LIMIT = 1000
_EXPONENT_LIMIT = 100
# As JavaScript writes numbers: with an exponent from 1e-7 downwards and from 1e21 upwards.
_PLAIN_FROM, _PLAIN_TO = -6, 20
_EXPONENT_LENGTH_LIMIT = 6

_INT = re.compile(rb"[ \t]*([+-]?)([0-9]+)[ \t]*")
_FLOAT = re.compile(rb"[ \t]*([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?)([0-9]+))?[ \t]*")


def converter(column: Column, encoding: str) -> Callable[[bytes], str | None]:
    """Make the function from a column's field to its part of the category.

    It raises ValueError, one line that names the column, where the field has none.
    """
    convert = _conversion(column.kind, encoding)
    label = label_of(column)

    def part(field: bytes) -> str | None:
        if not field:
            return None
        try:
            return convert(field)
        except RowError as error:
            raise RowError(error.code, f"{label}: {error}") from None

    return part


def _conversion(kind: Kind, encoding: str) -> Callable[[bytes], str]:
    """Choose the label function of a type."""
    match kind:
        case Text():
            return partial(_text, encoding=encoding)
        case Int():
            return _int
        case Float(step=Decimal() as step):
            # As written, 0.10 has two decimals. No arithmetic with Decimal: it rounds to 28 digits.
            exponent = int(step.as_tuple().exponent)
            width = int("".join(map(str, step.as_tuple().digits))) * 10 ** max(0, exponent)
            return partial(_bin, width=width, decimals=max(0, -exponent))
        case Float():
            return _float


def _text(field: bytes, *, encoding: str) -> str:
    try:
        return field.decode(encoding)
    except UnicodeDecodeError:
        raise RowError(Code.ENCODING, f"not {encoding.upper()}: {_shown(field)}") from None


def _int(field: bytes) -> str:
    """Label a whole number. By its digits: int() takes quadratic time, and refuses long ones."""
    match = _INT.fullmatch(field)
    if match is None:
        raise RowError(Code.NUMBER, f"not an int: {_shown(field)}")
    if len(match[2]) > _DIGITS_LIMIT:
        raise RowError(Code.NUMBER, f"more than {_DIGITS_LIMIT} digits: {_shown(field)}")
    digits = match[2].lstrip(b"0").decode() or "0"
    return "-" + digits if match[1] == b"-" and digits != "0" else digits


class _Number(Struct, frozen=True):
    """`sign` 0.`digits` times 10^`point`, digits without zeros at either end; zero has none."""

    sign: str
    digits: str
    point: int


def _number(field: bytes) -> _Number:
    """Read a decimal number."""
    match = _FLOAT.fullmatch(field)
    if match is None:
        raise RowError(Code.NUMBER, f"not a float: {_shown(field)}")
    sign, whole, fraction, exponent_sign, exponent = (part.decode() for part in match.groups(default=b""))
    if len(whole) + len(fraction) > _DIGITS_LIMIT:
        raise RowError(Code.NUMBER, f"more than {_DIGITS_LIMIT} digits: {_shown(field)}")
    significant = (whole + fraction).lstrip("0")
    digits = significant.rstrip("0")
    if not digits:
        return _Number("", "", 0)
    exponent = exponent.lstrip("0") or "0"
    if len(exponent) <= _EXPONENT_LENGTH_LIMIT:
        point = int(exponent_sign + exponent) + len(significant) - len(fraction)
        if -_EXPONENT_LIMIT <= point - 1 <= _EXPONENT_LIMIT:
            return _Number("-" if sign == "-" else "", digits, point)
    raise RowError(Code.NUMBER, f"beyond 1e±{_EXPONENT_LIMIT}: {_shown(field)}")


def _float(field: bytes) -> str:
    """Label a decimal number: equal numbers alike, unequal ones apart."""
    number = _number(field)
    sign, digits, point = number.sign, number.digits, number.point
    if not digits:
        return "0"
    if not _PLAIN_FROM <= point - 1 <= _PLAIN_TO:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
    return sign + whole + ("." + fraction if fraction else "")


def _bin(field: bytes, *, width: int, decimals: int) -> str:
    """Label the bin a number falls into by its lower edge; bins are `width` times 10^-`decimals` wide."""
    number = _number(field)
    if not number.digits:
        value, shift = 0, 0
    else:
        value, shift = int(number.sign + number.digits), number.point - len(number.digits) + decimals
    # Whole numbers only, so exact; // goes towards minus infinity.
    nth = value * 10**shift // width if shift >= 0 else value // (width * 10**-shift)
    edge = nth * width
    digits = str(abs(edge)).zfill(decimals + 1)
    sign = "-" if edge < 0 else ""
    return sign + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)


# Messages

_SHOWN_LENGTH_LIMIT = 40


def label_of(column: Column) -> str:
    """Name a column in a one-line reason."""
    return column.label if column.label.isprintable() else _shown(column.label)


def without_value(reason: str) -> str:
    """A reason without the field's value that it may end with, for the log: that shows no row's content."""
    before, begins, _ = reason.partition(": '")
    return before if begins and reason.endswith("'") else reason


def _shown(value: bytes | str) -> str:
    """Quote a value for a one-line reason, shortened."""
    text = value if isinstance(value, str) else value[: 4 * _SHOWN_LENGTH_LIMIT + 4].decode(errors="backslashreplace")
    if len(text) > _SHOWN_LENGTH_LIMIT:
        text = text[: _SHOWN_LENGTH_LIMIT - 1] + "…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + "'"
