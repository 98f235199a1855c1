"""Deciding fields → decisions: the key and partition of the rows' category, or why they have none. Pure.

A category has one part for each column of the split: its text or number as a label, None where the field is empty.
The identity's only category is `()`.
"""

from typing import NamedTuple

from msgspec import Struct

from common.protocol.category_keys import Category, file_key, row_key
from common.protocol.identity import Formats
from common.protocol.partitioner import partition_for
from common.rows.reasons import Code, Reason, RowError, reason_of
from common.rows.schema import Schema
from services.split.categories.labels import converter
from services.split.categories.splits import Split

# A row's raw fields that decide its category: the field itself for one column, a tuple for several.
Fields = bytes | tuple[bytes, ...]

# A category is part of its rows' key and of a file's path. Key and row have to fit into one record batch.
_MAX_KEY_BYTES = 65_536
_MAX_DECISIONS = 100_000
# Longer fields, keys and reasons are not remembered: _MAX_DECISIONS of them could exceed the memory.
_MAX_REMEMBERED_FIELD_BYTES = 256
_MAX_REMEMBERED_DECISION_BYTES = 1_024


class Destination(NamedTuple):
    """The key of a category's rows, and the one partition of `categorized` in which that key lives."""

    key: bytes
    partition: int


class Rejected(Struct, frozen=True):
    """The decision that rows with these fields have no destination."""

    reason: Reason


class Decisions(dict[Fields, Destination | Rejected]):
    """Where rows go, by their deciding fields, across batches: decided on demand, forgotten when there are too many.

    Many spellings may share a category, as in a bin, so key and partition are computed once for each category.
    """

    def __init__(self, split: Split, schema: Schema, partitions: int, formats: Formats) -> None:
        super().__init__()
        encoding = "utf-8" if schema.row_format == "json" else schema.dialect.encoding
        self._converters = [converter(column, encoding) for column in split.columns]
        self._schema_id = schema.id
        self._split = split.name
        self._partitions = partitions
        self._formats = formats
        self._destinations: dict[Category, Destination] = {}

    def __missing__(self, key: Fields) -> Destination | Rejected:
        fields = (key,) if isinstance(key, bytes) else key
        decision: Destination | Rejected
        try:
            decision = self._destination(
                tuple([convert(field) for convert, field in zip(self._converters, fields, strict=True)])
            )
            is_short = len(decision.key) <= _MAX_REMEMBERED_DECISION_BYTES
        except ValueError as error:
            decision = Rejected(reason_of(error))
            is_short = len(decision.reason.text) <= _MAX_REMEMBERED_DECISION_BYTES
        if is_short and sum(map(len, fields)) <= _MAX_REMEMBERED_FIELD_BYTES:
            if len(self) >= _MAX_DECISIONS:
                self.clear()
            self[key] = decision
        return decision

    def _destination(self, category: Category) -> Destination:
        """Raises RowError for a category that is too long."""
        known = self._destinations.get(category)
        if known is not None:
            return known
        key = placed_by = row_key(self._split, category)
        if self._formats.begun == 1:
            placed_by = file_key(self._schema_id, self._split, category)
        if self._formats.now == 1:
            key = placed_by
        if len(key) > _MAX_KEY_BYTES:
            raise RowError(Code.CATEGORY, f"a category of {len(key)} bytes, at most {_MAX_KEY_BYTES}")
        destination = Destination(key, partition_for(placed_by, self._partitions))
        if len(key) <= _MAX_REMEMBERED_DECISION_BYTES:
            if len(self._destinations) >= _MAX_DECISIONS:
                self._destinations.clear()
            self._destinations[category] = destination
        return destination
