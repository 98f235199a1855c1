"""Rows → destinations: which rows of a batch share a category, the key and partition they get, which are rejected.

A category has one part for each column of the split: its text or number as a label, None where the field is empty.
The identity's only category is `()`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from common.protocol.messages import Category, category_key
from common.protocol.partitioner import partition_for
from common.rows.codec import JsonCodec, json_field_reader, misfit, parse_fields
from common.rows.loops import group_rows, take_fields, take_json_fields
from common.rows.schema import Schema
from services.split.categories.columns import explain_missing, find_column
from services.split.categories.labels import converter
from services.split.categories.splits import Split


class Destination(NamedTuple):
    """The key of a category's rows, and the one partition of `categorized` in which that key lives."""

    key: bytes
    partition: int


@dataclass(frozen=True, slots=True)
class Routed:
    """A batch, routed.

    `groups` has the rows of each destination, in their order; destinations stand in the order of their first row.
    `rejects` has the index of each row without a destination and the reason, one line; ascending.
    """

    groups: dict[Destination, list[bytes]]
    rejects: list[tuple[int, str]]


Route = Callable[[list[bytes], bool], Routed]

# A row's raw fields that decide its category: the field itself for one column, a tuple for several.
_Fields = bytes | tuple[bytes, ...]

# The deciding fields of all rows at once; None where rows have to be read one by one.
_Take = Callable[[list[bytes]], list[Any] | None]

# A category is part of its rows' key and of a file's path. Key and row have to fit into one record batch.
_MAX_KEY_BYTES = 65_536
_MAX_DECISIONS = 100_000
# Longer fields, keys and reasons are not remembered: _MAX_DECISIONS of them could exceed the memory.
_MAX_REMEMBERED_FIELD_BYTES = 256
_MAX_REMEMBERED_DECISION_BYTES = 1_024


def compile_route(split: Split, schema: Schema, partitions: int) -> Route:
    """Make the function that routes batches of this schema's rows by this split, to so many partitions.

    The route takes `(rows, plain)`. `plain` promises that no row holds the quote; it means nothing for JSON rows.
    Rows have as many fields as the schema has columns. The identity hands the list of rows back, not a copy.
    """
    decisions = _Decisions(split, schema, partitions)
    if not split.columns:
        return _route_to(decisions[()])
    indexes = []
    for column in split.columns:
        index = find_column(column, schema)
        if index is None:
            return _route_to(_Rejection(explain_missing(column, schema)))
        indexes.append(index)
    if schema.row_format == "json":
        of_json = _batch_route(_json_taker(schema, indexes), _json_reader(schema, indexes), decisions)
        return lambda rows, _plain: of_json(rows, True)  # noqa: FBT003 - as above
    return _batch_route(_csv_taker(schema, indexes), _csv_reader(schema, indexes), decisions)


# Batches


@dataclass(frozen=True, slots=True)
class _Rejection:
    """The decision that rows with these fields have no destination."""

    reason: str


class _Decisions(dict[_Fields, Destination | _Rejection]):
    """Where rows go, by their deciding fields, across batches: decided on demand, forgotten when there are too many.

    Many spellings may share a category, as in a bin, so key and partition are computed once for each category.
    """

    def __init__(self, split: Split, schema: Schema, partitions: int) -> None:
        super().__init__()
        encoding = "utf-8" if schema.row_format == "json" else schema.dialect.encoding
        self._converters = [converter(column, encoding) for column in split.columns]
        self._schema_id = schema.id
        self._split = split.name
        self._partitions = partitions
        self._destinations: dict[Category, Destination] = {}

    def __missing__(self, key: _Fields) -> Destination | _Rejection:
        fields = (key,) if isinstance(key, bytes) else key
        decision: Destination | _Rejection
        try:
            decision = self._destination(
                tuple([convert(field) for convert, field in zip(self._converters, fields, strict=True)])
            )
            is_short = len(decision.key) <= _MAX_REMEMBERED_DECISION_BYTES
        except ValueError as error:
            decision = _Rejection(str(error))
            is_short = len(decision.reason) <= _MAX_REMEMBERED_DECISION_BYTES
        if is_short and sum(map(len, fields)) <= _MAX_REMEMBERED_FIELD_BYTES:
            if len(self) >= _MAX_DECISIONS:
                self.clear()
            self[key] = decision
        return decision

    def _destination(self, category: Category) -> Destination:
        """Raises ValueError, one line, for a category that is too long."""
        known = self._destinations.get(category)
        if known is not None:
            return known
        key = category_key(self._schema_id, self._split, category)
        if len(key) > _MAX_KEY_BYTES:
            raise ValueError(f"a category of {len(key)} bytes, at most {_MAX_KEY_BYTES}")
        destination = Destination(key, partition_for(key, self._partitions))
        if len(key) <= _MAX_REMEMBERED_DECISION_BYTES:
            if len(self._destinations) >= _MAX_DECISIONS:
                self._destinations.clear()
            self._destinations[category] = destination
        return destination


def _route_to(decision: Destination | _Rejection) -> Route:
    """Make a route that decides alike for every row."""
    match decision:
        case Destination():
            return lambda rows, _plain: Routed({decision: rows} if rows else {}, [])
        case _Rejection(reason):
            return lambda rows, _plain: Routed({}, [(index, reason) for index in range(len(rows))])


class _Batch(dict[_Fields, list[bytes]]):
    """The rows of one batch by their deciding fields.

    Different spellings of one category share one list, which keeps the category's order.
    """

    def __init__(self, decisions: _Decisions) -> None:
        super().__init__()
        self._decisions = decisions
        self.groups: dict[Destination, list[bytes]] = {}
        self.rejected: dict[_Fields, str] = {}

    def __missing__(self, key: _Fields) -> list[bytes]:
        decision = self._decisions[key]
        if isinstance(decision, _Rejection):
            self.rejected[key] = decision.reason
            rows = []
        else:
            rows = self.groups.setdefault(decision, [])
        self[key] = rows
        return rows


def _batch_route(take: _Take, read: Callable[[bytes], _Fields], decisions: _Decisions) -> Route:
    """Make a route that takes the fields of all rows at once where it can, and else reads row by row."""

    def route(rows: list[bytes], plain: bool) -> Routed:  # noqa: FBT001 - Route passes it by position
        taken = take(rows) if plain else None
        if taken is None:
            return _route_each(rows, read, decisions)
        batch = _Batch(decisions)
        # Distinct fields pass through `_Batch` once; for the rows a plain dictionary is quicker.
        group_rows(taken, rows, {fields: batch[fields] for fields in dict.fromkeys(taken)})
        # `group_rows` knows no index, so a batch with a rejected row is routed again, which costs more but is rare.
        return _route_each(rows, read, decisions) if batch.rejected else Routed(batch.groups, [])

    return route


def _route_each(rows: list[bytes], read: Callable[[bytes], _Fields], decisions: _Decisions) -> Routed:
    """Route row by row; `read` raises ValueError for a row it cannot read."""
    batch = _Batch(decisions)
    rejects = []
    for index, row in enumerate(rows):
        try:
            fields = read(row)
        except ValueError as error:
            rejects.append((index, str(error)))
            continue
        batch[fields].append(row)
        if fields in batch.rejected:
            rejects.append((index, batch.rejected[fields]))
    return Routed(batch.groups, rejects)


# The deciding fields


def _csv_taker(schema: Schema, indexes: list[int]) -> _Take:
    """Make the function that takes the fields out of CSV rows without quotes; None where a row lacks one."""
    delimiter = schema.dialect.delimiter

    def take(rows: list[bytes]) -> list[Any] | None:
        try:
            columns = [take_fields(rows, delimiter, index) for index in indexes]
        except IndexError:
            return None
        return _by_row(columns)

    return take


def _json_taker(schema: Schema, indexes: list[int]) -> _Take:
    """Make the function that takes the fields out of JSON rows as ingest writes them; None where a row is not one."""
    names = JsonCodec(schema).names

    def take(rows: list[bytes]) -> list[Any] | None:
        found = [take_json_fields(rows, names, index) for index in indexes]
        columns = [[field for field in column if field is not None] for column in found]
        return _by_row(columns) if all(len(column) == len(rows) for column in columns) else None

    return take


def _by_row(columns: list[list[bytes]]) -> list[Any]:
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _csv_reader(schema: Schema, indexes: list[int]) -> Callable[[bytes], _Fields]:
    """Make the function that reads the fields of any CSV row."""
    dialect, width = schema.dialect, len(schema.columns)
    pick: Callable[[list[bytes]], _Fields] = itemgetter(*indexes)

    def read(row: bytes) -> _Fields:
        fields = parse_fields(row, dialect)
        if len(fields) != width:
            raise ValueError(misfit(len(fields), width))
        return pick(fields)

    return read


def _json_reader(schema: Schema, indexes: list[int]) -> Callable[[bytes], _Fields]:
    """Make the function that reads the fields of a JSON row."""
    readers = [json_field_reader(schema, index) for index in indexes]
    match readers:
        case [read]:
            return read
    return lambda row: tuple([read(row) for read in readers])
