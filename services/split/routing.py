"""Rows to categories: which rows of a batch belong together, and which belong nowhere.

A category has one part for each column of the split: its text or number as a label, None where the field is empty.
The identity's only category is `()`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from operator import itemgetter

from common.records import Category
from common.row import json_field_reader, misfit, parse_fields
from common.schema import Schema
from services.split.splits import Column, Float, Int, Kind, Split, Text


@dataclass(frozen=True, slots=True)
class Routed:
    """A batch, routed.

    `groups` has the rows of each category, in their order; categories stand in the order of their first row.
    `rejects` has the index of each row without a category and the reason, one line; ascending.
    """

    groups: dict[Category, list[bytes]]
    rejects: list[tuple[int, str]]


Route = Callable[[list[bytes], bool], Routed]

# A row's raw fields that decide its category: the field itself for one column, a tuple for several.
_Key = bytes | tuple[bytes, ...]

_DECISIONS_LIMIT = 100_000
_LONG_KEY = 256


def compile_route(split: Split, schema: Schema) -> Route:
    """Make the function that routes batches of this schema's rows by this split.

    The route takes `(rows, plain)`. `plain` promises that no row holds the quote; it means nothing for JSON rows.
    Rows have as many fields as the schema has columns. The identity hands the list of rows back, not a copy.
    """
    if not split.columns:
        return lambda rows, _plain: Routed({(): rows} if rows else {}, [])
    indexes = []
    for column in split.columns:
        index = _index(column, schema)
        if index is None:
            reason = f"no column {_label(column)}"
            return lambda rows, _plain: Routed({}, [(index, reason) for index in range(len(rows))])
        indexes.append(index)
    decisions = _Decisions(split.columns)
    if schema.row_format == "json":
        read_json = _json_reader(schema, indexes)
        return lambda rows, _plain: _route_each(rows, read_json, decisions)
    return _csv_route(schema, indexes, decisions)


def _index(column: Column, schema: Schema) -> int | None:
    """Find a column; of several with one name, the first."""
    if isinstance(column.ref, int):
        return column.ref - 1 if 1 <= column.ref <= len(schema.columns) else None
    return schema.columns.index(column.ref) if column.ref in schema.columns else None


# Batches


@dataclass(frozen=True, slots=True)
class _Rejection:
    """The decision that a key has no category."""

    reason: str


class _Decisions(dict[_Key, Category | _Rejection]):
    """What was decided for each key, across batches; made when asked for, forgotten when there are too many."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        super().__init__()
        self._converters = [_converter(column) for column in columns]

    def __missing__(self, key: _Key) -> Category | _Rejection:
        fields = (key,) if isinstance(key, bytes) else key
        decision: Category | _Rejection
        try:
            decision = tuple([convert(field) for convert, field in zip(self._converters, fields, strict=True)])
        except ValueError as error:
            decision = _Rejection(str(error))
        if sum(map(len, fields)) <= _LONG_KEY:
            if len(self) >= _DECISIONS_LIMIT:
                self.clear()
            self[key] = decision
        return decision


class _Batch(dict[_Key, list[bytes]]):
    """The rows of one batch by key. Keys of one category share one list, which keeps the category's order."""

    def __init__(self, decisions: _Decisions) -> None:
        super().__init__()
        self._decisions = decisions
        self.groups: dict[Category, list[bytes]] = {}
        self.rejected: dict[_Key, str] = {}

    def __missing__(self, key: _Key) -> list[bytes]:
        decision = self._decisions[key]
        if isinstance(decision, _Rejection):
            self.rejected[key] = decision.reason
            rows = []
        else:
            rows = self.groups.setdefault(decision, [])
        self[key] = rows
        return rows


def _csv_route(schema: Schema, indexes: list[int], decisions: _Decisions) -> Route:
    """Make the route of CSV rows."""
    take = _taker(schema, indexes)
    read = _csv_reader(schema, indexes, take)

    def route(rows: list[bytes], plain: bool) -> Routed:  # noqa: FBT001 - Route passes it by position
        if not plain:
            return _route_each(rows, read, decisions)
        batch = _Batch(decisions)
        try:
            for row in rows:
                batch[take(row)].append(row)
        except IndexError:
            return _route_each(rows, read, decisions)
        # The loop above knows no index, so a batch with a rejected row is routed again: rare, and dear only then.
        return _route_each(rows, read, decisions) if batch.rejected else Routed(batch.groups, [])

    return route


def _route_each(rows: list[bytes], read: Callable[[bytes], _Key], decisions: _Decisions) -> Routed:
    """Route row by row; `read` raises ValueError for a row it cannot read."""
    batch = _Batch(decisions)
    rejects = []
    for index, row in enumerate(rows):
        try:
            key = read(row)
        except ValueError as error:
            rejects.append((index, str(error)))
            continue
        batch[key].append(row)
        if key in batch.rejected:
            rejects.append((index, batch.rejected[key]))
    return Routed(batch.groups, rejects)


# Rows to keys


def _taker(schema: Schema, indexes: list[int]) -> Callable[[bytes], _Key]:
    """Make the function that takes a key out of a CSV row without quotes; IndexError where fields are missing."""
    delimiter, width = schema.dialect.delimiter, len(schema.columns)
    match indexes:
        case [only]:
            return _field_taker(delimiter, width, only)
        case [first, second]:
            # Two cuts from the nearer ends are faster than one over the whole row: 0.2 µs against 0.3 for abalone.
            take_first = _field_taker(delimiter, width, first)
            take_second = _field_taker(delimiter, width, second)
            return lambda row: (take_first(row), take_second(row))
    pick: Callable[[list[bytes]], tuple[bytes, ...]] = itemgetter(*indexes)
    cuts = max(indexes) + 1
    return lambda row: pick(row.split(delimiter, cuts))


def _field_taker(delimiter: bytes, width: int, index: int) -> Callable[[bytes], bytes]:
    """Make the function that takes one field, cutting from the nearer end of the row."""
    from_left, from_right = index + 1, width - index
    if from_left <= from_right:
        return lambda row: row.split(delimiter, from_left)[index]
    return lambda row: row.rsplit(delimiter, from_right)[-from_right]


def _csv_reader(schema: Schema, indexes: list[int], take: Callable[[bytes], _Key]) -> Callable[[bytes], _Key]:
    """Make the function that reads a key out of any CSV row."""
    dialect, width = schema.dialect, len(schema.columns)
    quote = dialect.quote
    pick: Callable[[list[bytes]], _Key] = itemgetter(*indexes)

    def read(row: bytes) -> _Key:
        if quote not in row:
            try:
                return take(row)
            except IndexError:
                raise ValueError(misfit(row.count(dialect.delimiter) + 1, width)) from None
        fields = parse_fields(row, dialect)
        if len(fields) != width:
            raise ValueError(misfit(len(fields), width))
        return pick(fields)

    return read


def _json_reader(schema: Schema, indexes: list[int]) -> Callable[[bytes], _Key]:
    """Make the function that reads a key out of a JSON row."""
    readers = [json_field_reader(schema, index) for index in indexes]
    match readers:
        case [read]:
            return read
    return lambda row: tuple([read(row) for read in readers])


# Fields to parts

_DIGITS_LIMIT = 1000
_EXPONENT_LIMIT = 100
# As JavaScript writes numbers: from 1e-7 on down and 1e21 on up with an exponent.
_PLAIN_FROM, _PLAIN_TO = -6, 20
_EXPONENT_LENGTH_LIMIT = 6

_INT = re.compile(rb"[ \t]*([+-]?)([0-9]+)[ \t]*")
_FLOAT = re.compile(rb"[ \t]*([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?)([0-9]+))?[ \t]*")


def _converter(column: Column) -> Callable[[bytes], str | None]:
    """Make the function from a column's field to its part; ValueError, naming the column, where there is none."""
    convert = _conversion(column.kind)
    label = _label(column)

    def part(field: bytes) -> str | None:
        if not field:
            return None
        try:
            return convert(field)
        except ValueError as error:
            raise ValueError(f"{label}: {error}") from None

    return part


def _conversion(kind: Kind) -> Callable[[bytes], str]:
    """Choose the label function of a type."""
    match kind:
        case Text():
            return _text
        case Int():
            return _int
        case Float(step=Decimal() as step):
            # As written, 0.10 has two decimals. No arithmetic with Decimal: it rounds to 28 digits.
            exponent = int(step.as_tuple().exponent)
            width = int("".join(map(str, step.as_tuple().digits))) * 10 ** max(0, exponent)
            return partial(_bin, width=width, decimals=max(0, -exponent))
        case Float():
            return _float


def _text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


def _int(field: bytes) -> str:
    """Label a whole number. By its digits: int() takes quadratic time, and refuses long ones."""
    match = _INT.fullmatch(field)
    if match is None:
        raise ValueError(f"not an int: {_shown(field)}")
    if len(match[2]) > _DIGITS_LIMIT:
        raise ValueError(f"more than {_DIGITS_LIMIT} digits: {_shown(field)}")
    digits = match[2].lstrip(b"0").decode() or "0"
    return "-" + digits if match[1] == b"-" and digits != "0" else digits


@dataclass(frozen=True, slots=True)
class _Number:
    """`sign` 0.`digits` times 10^`point`, digits without zeros at either end; zero has none."""

    sign: str
    digits: str
    point: int


def _number(field: bytes) -> _Number:
    """Read a decimal number."""
    match = _FLOAT.fullmatch(field)
    if match is None:
        raise ValueError(f"not a float: {_shown(field)}")
    sign, whole, fraction, exponent_sign, exponent = (part.decode() for part in match.groups(default=b""))
    if len(whole) + len(fraction) > _DIGITS_LIMIT:
        raise ValueError(f"more than {_DIGITS_LIMIT} digits: {_shown(field)}")
    significant = (whole + fraction).lstrip("0")
    digits = significant.rstrip("0")
    if not digits:
        return _Number("", "", 0)
    exponent = exponent.lstrip("0") or "0"
    if len(exponent) <= _EXPONENT_LENGTH_LIMIT:
        point = int(exponent_sign + exponent) + len(significant) - len(fraction)
        if -_EXPONENT_LIMIT <= point - 1 <= _EXPONENT_LIMIT:
            return _Number("-" if sign == "-" else "", digits, point)
    raise ValueError(f"beyond 1e±{_EXPONENT_LIMIT}: {_shown(field)}")


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


def _label(column: Column) -> str:
    """Name a column in a one-line reason."""
    return column.label if column.label.isprintable() else _shown(column.label)


def _shown(value: bytes | str) -> str:
    """Quote a value for a one-line reason, shortened."""
    text = value if isinstance(value, str) else value[: 4 * _SHOWN_LENGTH_LIMIT + 4].decode(errors="backslashreplace")
    if len(text) > _SHOWN_LENGTH_LIMIT:
        text = text[: _SHOWN_LENGTH_LIMIT - 1] + "…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + "'"
