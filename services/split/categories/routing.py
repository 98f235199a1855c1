"""Rows → destinations: which rows of a batch share a category, and which are rejected. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from common.protocol.identity import NEWEST_FORMATS, Formats
from common.rows.codec import JsonCodec, json_field_reader, misfit, parse_fields
from common.rows.loops import group_rows, take_fields, take_json_fields
from common.rows.reasons import Code, Reason, RowError, reason_of
from common.rows.schema import Schema
from services.split.categories.columns import explain_missing_column, find_column
from services.split.categories.decisions import Decisions, Destination, Fields, Rejected
from services.split.categories.splits import Split


@dataclass(frozen=True, slots=True)
class RoutedBatch:
    """A batch, routed.

    `groups` has the rows of each destination, in their order; destinations stand in the order of their first row.
    `rejects` has the index of each row without a destination and the reason; ascending.
    """

    groups: dict[Destination, list[bytes]]
    rejects: list[tuple[int, Reason]]


Route = Callable[[list[bytes], bool], RoutedBatch]

# The deciding fields of all rows at once; None where rows have to be read one by one.
_Take = Callable[[list[bytes]], list[Any] | None]


def compile_route(split: Split, schema: Schema, partitions: int, formats: Formats = NEWEST_FORMATS) -> Route:
    """Make the function that routes batches of this schema's rows by this split, to so many partitions.

    The route takes `(rows, plain)`. `plain` promises that no row holds the quote; it means nothing for JSON rows.
    Rows have as many fields as the schema has columns. The identity hands the list of rows back, not a copy.
    """
    decisions = Decisions(split, schema, partitions, formats)
    if not split.columns:
        return _route_to(decisions[()])
    indexes = []
    for column in split.columns:
        index = find_column(column, schema)
        if index is None:
            return _route_to(Rejected(Reason(Code.COLUMN, explain_missing_column(column, schema))))
        indexes.append(index)
    if schema.row_format == "json":
        of_json = _batch_route(_json_taker(schema, indexes), _json_reader(schema, indexes), decisions)
        return lambda rows, _plain: of_json(rows, True)  # noqa: FBT003 - as above
    return _batch_route(_csv_taker(schema, indexes), _csv_reader(schema, indexes), decisions)


# Batches


def _route_to(decision: Destination | Rejected) -> Route:
    """Make a route that decides alike for every row."""
    match decision:
        case Destination():
            return lambda rows, _plain: RoutedBatch({decision: rows} if rows else {}, [])
        case Rejected(reason):
            return lambda rows, _plain: RoutedBatch({}, [(index, reason) for index in range(len(rows))])


class _Batch(dict[Fields, list[bytes]]):
    """The rows of one batch by their deciding fields.

    Different spellings of one category share one list, which keeps the category's order.
    """

    def __init__(self, decisions: Decisions) -> None:
        super().__init__()
        self._decisions = decisions
        self.groups: dict[Destination, list[bytes]] = {}
        self.rejected: dict[Fields, Reason] = {}

    def __missing__(self, key: Fields) -> list[bytes]:
        decision = self._decisions[key]
        if isinstance(decision, Rejected):
            self.rejected[key] = decision.reason
            rows = []
        else:
            rows = self.groups.setdefault(decision, [])
        self[key] = rows
        return rows


def _batch_route(take: _Take, read: Callable[[bytes], Fields], decisions: Decisions) -> Route:
    """Make a route that takes the fields of all rows at once where it can, and else reads row by row."""

    def route(rows: list[bytes], plain: bool) -> RoutedBatch:  # noqa: FBT001 - Route passes it by position
        taken = take(rows) if plain else None
        if taken is None:
            return _route_each(rows, read, decisions)
        batch = _Batch(decisions)
        # Distinct fields pass through `_Batch` once; for the rows a plain dictionary is quicker.
        group_rows(taken, rows, {fields: batch[fields] for fields in dict.fromkeys(taken)})
        # `group_rows` knows no index, so a batch with a rejected row is routed again, which costs more but is rare.
        return _route_each(rows, read, decisions) if batch.rejected else RoutedBatch(batch.groups, [])

    return route


def _route_each(rows: list[bytes], read: Callable[[bytes], Fields], decisions: Decisions) -> RoutedBatch:
    """Route row by row; `read` raises ValueError for a row it cannot read."""
    batch = _Batch(decisions)
    rejects = []
    for index, row in enumerate(rows):
        try:
            fields = read(row)
        except ValueError as error:
            rejects.append((index, reason_of(error)))
            continue
        batch[fields].append(row)
        if fields in batch.rejected:
            rejects.append((index, batch.rejected[fields]))
    return RoutedBatch(batch.groups, rejects)


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


def _csv_reader(schema: Schema, indexes: list[int]) -> Callable[[bytes], Fields]:
    """Make the function that reads the fields of any CSV row."""
    dialect, width = schema.dialect, len(schema.columns)
    pick: Callable[[list[bytes]], Fields] = itemgetter(*indexes)

    def read(row: bytes) -> Fields:
        fields = parse_fields(row, dialect)
        if len(fields) != width:
            raise RowError(Code.FIELDS, misfit(len(fields), width))
        return pick(fields)

    return read


def _json_reader(schema: Schema, indexes: list[int]) -> Callable[[bytes], Fields]:
    """Make the function that reads the fields of a JSON row."""
    readers = [json_field_reader(schema, index) for index in indexes]
    match readers:
        case [read]:
            return read
    return lambda row: tuple([read(row) for read in readers])
