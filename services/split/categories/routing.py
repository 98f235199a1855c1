"""Rows to categories: which rows of a batch belong together, and which belong nowhere.

A category has one part for each column of the split: its text or number as a label, None where the field is empty.
The identity's only category is `()`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from common.protocol.messages import Category
from common.rows.codec import JsonCodec, json_field_reader, misfit, parse_fields
from common.rows.loops import group_rows, take_fields, take_json_fields
from common.rows.schema import Schema
from services.split.categories.columns import explain_missing, find_column
from services.split.categories.labels import converter
from services.split.categories.splits import Column, Split


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

# The keys of all rows at once; None where they have to be read one by one.
_Take = Callable[[list[bytes]], list[Any] | None]

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
        index = find_column(column, schema)
        if index is None:
            reason = explain_missing(column, schema)
            return lambda rows, _plain: Routed({}, [(index, reason) for index in range(len(rows))])
        indexes.append(index)
    if schema.row_format == "json":
        of_json = _batch_route(
            _json_taker(schema, indexes), _json_reader(schema, indexes), _Decisions(split.columns, "utf-8")
        )
        return lambda rows, _plain: of_json(rows, True)  # noqa: FBT003 - as above
    decisions = _Decisions(split.columns, schema.dialect.encoding)
    return _batch_route(_csv_taker(schema, indexes), _csv_reader(schema, indexes), decisions)


# Batches


@dataclass(frozen=True, slots=True)
class _Rejection:
    """The decision that a key has no category."""

    reason: str


class _Decisions(dict[_Key, Category | _Rejection]):
    """What was decided for each key, across batches; made when asked for, forgotten when there are too many."""

    def __init__(self, columns: tuple[Column, ...], encoding: str) -> None:
        super().__init__()
        self._converters = [converter(column, encoding) for column in columns]

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


def _batch_route(take: _Take, read: Callable[[bytes], _Key], decisions: _Decisions) -> Route:
    """Make a route that takes the keys of all rows at once where it can, and else reads row by row."""

    def route(rows: list[bytes], plain: bool) -> Routed:  # noqa: FBT001 - Route passes it by position
        keys = take(rows) if plain else None
        if keys is None:
            return _route_each(rows, read, decisions)
        batch = _Batch(decisions)
        # Each key once through `_Batch`; a plain dictionary is quicker for the rows.
        group_rows(keys, rows, {key: batch[key] for key in dict.fromkeys(keys)})
        # The loop knows no index, so a batch with a rejected row is routed again: rare, and dear only then.
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


def _csv_taker(schema: Schema, indexes: list[int]) -> _Take:
    """Make the function that takes the keys out of CSV rows without quotes; none where fields are missing."""
    delimiter = schema.dialect.delimiter

    def take(rows: list[bytes]) -> list[Any] | None:
        try:
            fields = [take_fields(rows, delimiter, index) for index in indexes]
        except IndexError:
            return None
        return _keys(fields)

    return take


def _json_taker(schema: Schema, indexes: list[int]) -> _Take:
    """Make the function that takes the keys out of JSON rows that look as ingest writes them; none of others."""
    names = JsonCodec(schema).names

    def take(rows: list[bytes]) -> list[Any] | None:
        columns = [take_json_fields(rows, names, index) for index in indexes]
        fields = [[field for field in column if field is not None] for column in columns]
        return _keys(fields) if all(len(column) == len(rows) for column in fields) else None

    return take


def _keys(fields: list[list[bytes]]) -> list[Any]:
    return fields[0] if len(fields) == 1 else list(zip(*fields, strict=True))


def _csv_reader(schema: Schema, indexes: list[int]) -> Callable[[bytes], _Key]:
    """Make the function that reads a key out of any CSV row."""
    dialect, width = schema.dialect, len(schema.columns)
    pick: Callable[[list[bytes]], _Key] = itemgetter(*indexes)

    def read(row: bytes) -> _Key:
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
