"""A record of a source → where it has to be: in which category of each split, or rejected and why. Pure."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from common.protocol.category_keys import file_key, row_key
from common.protocol.shares import EVERY_SPLIT
from common.rows.reasons import Code
from common.rows.schema import Schema
from ops.verify.rows.labels import Label, labeller
from ops.verify.rows.records import CsvRecord
from services.split.categories.splits import Column, Split

_MOST_KEY_BYTES = 65_536
_MOST_REMEMBERED = 50_000
_MOST_REMEMBERED_BYTES = 256
_JSON_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# A control character is written with so many.
_MOST_JSON_BYTES = 6

# The key of a file in a ledger, or the reason for having none.
Destination = bytes | Code


class Place(NamedTuple):
    """Where a row has to be for one split, or, if it is rejected for all, for EVERY_SPLIT."""

    split: str
    destination: Destination


class RoutedRow(NamedTuple):
    """A row as it is in files, and its places."""

    text: bytes
    places: Sequence[Place]


def router(splits: Sequence[Split], schema: Schema, version: int, longest: int) -> Callable[[CsvRecord], RoutedRow]:
    """The function that says where records of this schema have to be, in a pipeline of this format."""
    routes = [_route(split, schema, version) for split in splits]
    as_written = _as_json_gives(schema, longest) if schema.row_format == "json" else None

    def route(record: CsvRecord) -> RoutedRow:
        text, code = record.text, record.code
        if code is None and as_written is not None:
            written = as_written(record)
            text, code = (text, written) if isinstance(written, Code) else (written, None)
        if code is not None:
            return RoutedRow(text, (Place(EVERY_SPLIT, code),))
        return RoutedRow(text, [find(record.fields) for find in routes])

    return route


def _route(split: Split, schema: Schema, version: int) -> Callable[[Sequence[bytes]], Place]:
    indexes = [_index_of(column, schema) for column in split.columns]
    found = [index for index in indexes if index is not None]
    labels = [labeller(column, schema.dialect.encoding) for column in split.columns]
    known: dict[tuple[bytes, ...], Place] = {}

    def find(fields: Sequence[bytes]) -> Place:
        deciding = tuple([fields[index] for index in found])
        place = known.get(deciding)
        if place is None:
            parts = [label(field) for label, field in zip(labels, deciding, strict=False)]
            code = None if len(found) == len(indexes) else Code.COLUMN
            place = Place(split.name, code or _destination(split, schema, version, parts))
            if sum(map(len, deciding)) <= _MOST_REMEMBERED_BYTES:
                if len(known) >= _MOST_REMEMBERED:
                    known.clear()
                known[deciding] = place
        return place

    return find


def _index_of(column: Column, schema: Schema) -> int | None:
    """Where the column is; of several with one name, the first."""
    if isinstance(column.ref, int):
        return column.ref - 1 if column.ref <= len(schema.columns) else None
    return next((index for index, name in enumerate(schema.columns) if name == column.ref), None)


def _destination(split: Split, schema: Schema, version: int, parts: Sequence[Label]) -> Destination:
    for part in parts:
        if isinstance(part, Code):
            return part
    category = tuple(part for part in parts if not isinstance(part, Code))
    key = file_key(schema.id, split.name, category)
    sent = key if version == 1 else row_key(split.name, category)
    return key if len(sent) <= _MOST_KEY_BYTES else Code.CATEGORY


def _as_json_gives(schema: Schema, longest: int) -> Callable[[CsvRecord], bytes | Code]:
    """The function from a record to the CSV that its JSON object gives back, or why it has none."""
    delimiter, quote, encoding = schema.dialect.delimiter, schema.dialect.quote, schema.dialect.encoding
    names = sum(len(_json(key)) + len(b",:") for key in schema.keys) + len(b"}")

    def written(record: CsvRecord) -> bytes | Code:
        try:
            texts = [field.decode(encoding) for field in record.fields]
            if encoding != "utf-8" and record.text.decode(encoding).encode(encoding) != record.text:
                return Code.ENCODING
        except UnicodeError:
            return Code.ENCODING
        if names + sum(_MOST_JSON_BYTES * len(text.encode()) + 2 for text in texts) > longest:
            values = (text.encode() if _JSON_NUMBER.fullmatch(text.encode()) else _json(text) for text in texts)
            if names + sum(map(len, values)) > longest:
                return Code.TOO_LONG
        return delimiter.join(_quoted(record.fields, delimiter, quote))

    return written


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def _quoted(fields: Sequence[bytes], delimiter: bytes, quote: bytes) -> Iterator[bytes]:
    """The fields, within quotes where they need them."""
    for field in fields:
        needs = bool(quote) and any(mark in field for mark in (delimiter, quote, b"\r", b"\n"))
        yield quote + field.replace(quote, quote * 2) + quote if needs else field
