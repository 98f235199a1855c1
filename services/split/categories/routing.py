"""Rows → destinations: which rows of a batch share a category, and which are rejected. Pure."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct

from common.protocol.identity import NEWEST_FORMATS, Formats
from common.rows.codec import JsonCodec, json_field_reader, misfit, parse_fields
from common.rows.loops import group_rows, number_fields, number_items, take_fields, take_json_fields, take_out
from common.rows.reasons import Code, Reason, RowError, reason_of
from common.rows.schema import Schema
from services.split.categories.columns import explain_missing_column, find_column
from services.split.categories.decisions import Decisions, Destination, Fields, Rejected
from services.split.categories.splits import Split


class RoutedBatch(Struct, frozen=True):
    """A batch, routed.

    `groups` has the rows of each destination, in their order; destinations stand in the order of their first row.
    `rejects` has the index of each row without a destination and the reason; ascending.
    """

    groups: Mapping[Destination, Sequence[bytes]]
    rejects: list[tuple[int, Reason]]


Route = Callable[[Sequence[bytes], bool], RoutedBatch]

# The distinct deciding fields of all rows at once, and which of them each row has, as `number_items` gives them; None
# where rows have to be read one by one.
_Take = Callable[[Sequence[bytes]], tuple[list[Any], bytes] | None]


def compile_route(split: Split, schema: Schema, partitions: int, formats: Formats = NEWEST_FORMATS) -> Route:
    """Make the function that routes batches of this schema's rows by this split, to so many partitions.

    The route takes `(rows, plain)`. `plain` promises that no row holds the quote; it means nothing for JSON rows.
    Rows have as many fields as the schema has columns. The identity hands the rows back, not a copy.
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


def _batch_route(take: _Take, read: Callable[[bytes], Fields], decisions: Decisions) -> Route:
    """Make a route that takes the fields of all rows at once where it can, and else reads row by row."""

    def route(rows: Sequence[bytes], plain: bool) -> RoutedBatch:  # noqa: FBT001 - Route passes it by position
        taken = take(rows) if plain else None
        if taken is None:
            return _route_each(rows, read, decisions)
        fields, numbers = taken
        # Distinct fields are decided once. Different spellings of one category share a destination.
        decided = [decisions[each] for each in fields]
        places: dict[Destination, int] = {}
        targets = [-1 if isinstance(each, Rejected) else places.setdefault(each, len(places)) for each in decided]
        groups = group_rows(rows, numbers, targets, len(places))
        reasons = {number: each.reason for number, each in enumerate(decided) if isinstance(each, Rejected)}
        rejects = []
        if reasons:
            numbered = enumerate(array("I", numbers))
            rejects = [(index, reasons[number]) for index, number in numbered if number in reasons]
        return RoutedBatch(dict(zip(places, groups, strict=True)), rejects)

    return route


def _route_each(rows: Sequence[bytes], read: Callable[[bytes], Fields], decisions: Decisions) -> RoutedBatch:
    """Route row by row; `read` raises ValueError for a row it cannot read."""
    groups: dict[Destination, list[bytes]] = {}
    rejects = []
    for index, row in enumerate(take_out(rows)):
        try:
            decision = decisions[read(row)]
        except ValueError as error:
            rejects.append((index, reason_of(error)))
            continue
        if isinstance(decision, Rejected):
            rejects.append((index, decision.reason))
        else:
            groups.setdefault(decision, []).append(row)
    return RoutedBatch(groups, rejects)


# The deciding fields


def _csv_taker(schema: Schema, indexes: list[int]) -> _Take:
    """Make the function that takes the fields out of CSV rows without quotes; None where a row lacks one."""
    delimiter = schema.dialect.delimiter

    def take(rows: Sequence[bytes]) -> tuple[list[Any], bytes] | None:
        try:
            if len(indexes) == 1:
                return number_fields(rows, delimiter, indexes[0])
            columns = [take_fields(rows, delimiter, index) for index in indexes]
        except IndexError:
            return None
        return _numbered(columns)

    return take


def _json_taker(schema: Schema, indexes: list[int]) -> _Take:
    """Make the function that takes the fields out of JSON rows as ingest writes them; None where a row is not one."""
    names = JsonCodec(schema).names

    def take(rows: Sequence[bytes]) -> tuple[list[Any], bytes] | None:
        given = take_out(rows)
        found = [take_json_fields(given, names, index) for index in indexes]
        columns = [[field for field in column if field is not None] for column in found]
        return _numbered(columns) if all(len(column) == len(rows) for column in columns) else None

    return take


def _numbered(columns: list[list[bytes]]) -> tuple[list[Any], bytes]:
    return number_items(columns[0] if len(columns) == 1 else list(zip(*columns, strict=True)))


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
