"""The schemas of the sources, and how they differ. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from common.pipeline.schema_numbers import Registered
from common.rows.schema_differences import differences
from ops.validate.columns import EMPTY, ColumnFields, merged_fields
from ops.validate.examination import ExaminedSource


class SchemaGroup(Struct, frozen=True):
    """The sources of one schema, what their columns hold, and how it differs from the first schema."""

    registered: Registered
    sources: tuple[ExaminedSource, ...]
    columns: tuple[ColumnFields, ...]
    differences: tuple[str, ...] = ()


def group_by_schema(sources: Sequence[ExaminedSource], known: Mapping[str, Registered]) -> list[SchemaGroup]:
    """The sources grouped by schema, in the order of the schemas' numbers; `known` holds each schema by its id."""
    by_id: dict[str, list[ExaminedSource]] = {}
    for source in sources:
        if source.schema is not None:
            by_id.setdefault(source.schema.id, []).append(source)
    numbered = sorted((known[schema_id] for schema_id in by_id), key=lambda registered: registered.number)
    groups = []
    for registered in numbered:
        schema = registered.schema
        columns = (ColumnFields(),) * len(schema.columns)
        for source in by_id[schema.id]:
            columns = tuple(map(merged_fields, columns, source.columns)) if source.columns else columns
        first = numbered[0].schema
        groups.append(SchemaGroup(registered, tuple(by_id[schema.id]), columns, tuple(differences(first, schema))))
    return groups


def dissent(group: SchemaGroup, index: int) -> str:
    """Which sources keep a column from having the type that it has in most of them; "" if none does."""
    guesses = [(source.name, source.columns[index].guess) for source in group.sources if source.columns]
    counts = Counter(guess for _, guess in guesses if guess != EMPTY)
    [(usual, _)] = counts.most_common(1) or [(EMPTY, 0)]
    if usual in (EMPTY, group.columns[index].guess):
        return ""
    others = [f"{name} ({guess})" for name, guess in guesses if guess not in (EMPTY, usual)]
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f"{usual} except in {others[0]}{more}"
