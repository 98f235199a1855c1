"""The schemas that sources have, and in what they differ. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from common.registry import Registered
from common.schema import Schema
from ops.validation import Source
from ops.validation_columns import EMPTY, Fields, merged


def number_schema(known: Mapping[str, Registered], schema: Schema) -> Registered:
    """A schema with its number, as ingest gives it one: its own, or the next.

    Where several are new, ingest may come upon them in another order.
    """
    registered = known.get(schema.id)
    return registered or Registered(1 + max((other.number for other in known.values()), default=0), schema)


@dataclass(frozen=True, slots=True)
class SchemaGroup:
    """The sources of one schema, what their columns hold, and in what it differs from the first schema."""

    registered: Registered
    sources: tuple[Source, ...]
    columns: tuple[Fields, ...]
    differences: tuple[str, ...] = ()


def group_by_schema(sources: Sequence[Source], known: Mapping[str, Registered]) -> list[SchemaGroup]:
    """The schemas that these sources have, by number; `known` has each of them by its id."""
    by_id: dict[str, list[Source]] = {}
    for source in sources:
        if source.schema is not None:
            by_id.setdefault(source.schema.id, []).append(source)
    numbered = sorted((known[schema_id] for schema_id in by_id), key=lambda registered: registered.number)
    groups = []
    for registered in numbered:
        schema = registered.schema
        columns = (Fields(),) * len(schema.columns)
        for source in by_id[schema.id]:
            columns = tuple(map(merged, columns, source.columns)) if source.columns else columns
        first = numbered[0].schema
        groups.append(SchemaGroup(registered, tuple(by_id[schema.id]), columns, tuple(differences(first, schema))))
    return groups


def differences(first: Schema, other: Schema) -> list[str]:
    """In what another schema differs from the first, a phrase each; none where they are the same."""
    phrases = []
    kept, added = _matched(other.columns, first.columns)
    kept_of_first, missing = _matched(first.columns, other.columns)
    if added:
        phrases.append(f"added {list_names(added)}")
    if missing:
        phrases.append(f"missing {list_names(missing)}")
    if kept != kept_of_first:
        phrases.append("columns in another order")
    for what, mine, its in zip(_TRAITS, dialect_traits(other), dialect_traits(first), strict=True):
        if mine != its:
            phrases.append(f"{what} {mine}, not {its}")
    if not phrases and first.header != other.header:
        phrases.append("the same column names, written with other bytes")
    return phrases


def _matched(names: Sequence[str], others: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that each have one of the others for their like, and those that are left without."""
    unmatched = Counter(others)
    matched: list[str] = []
    left: list[str] = []
    for name in names:
        (matched if unmatched[name] else left).append(name)
        unmatched[name] -= bool(unmatched[name])
    return matched, left


_TRAITS = ("delimiter", "quote", "line ending", "encoding")
_MARKS = MappingProxyType(
    {
        b",": "comma",
        b";": "semicolon",
        b"|": "pipe",
        b"\t": "tab",
        b" ": "space",
        b'"': "double",
        b"'": "single",
        b"": "none",
        b"\n": "LF",
        b"\r\n": "CRLF",
        b"\r": "CR",
    }
)


def dialect_traits(schema: Schema) -> tuple[str, str, str, str]:
    """Delimiter, quote, line ending and encoding in words."""
    dialect = schema.dialect
    marks = (dialect.delimiter, dialect.quote, dialect.eol)
    delimiter, quote, eol = (_MARKS.get(mark, mark.decode("latin-1")) for mark in marks)
    return delimiter, quote, eol, dialect.encoding


_SHOWN_NAMES = 8
_SHOWN_LENGTH = 60


def list_names(names: Collection[str]) -> str:
    """Names of columns in a line."""
    shown = [show_name(name) for name in list(names)[:_SHOWN_NAMES]]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def show_name(name: str) -> str:
    """A column's name in a line: one that is empty, long or not printable is quoted or shortened."""
    text = name if name.strip() and name.isprintable() else repr(name)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def dissent(group: SchemaGroup, index: int) -> str:
    """Which sources keep a column from the type that it has in most; empty where none does."""
    guesses = [(source.name, source.columns[index].guess) for source in group.sources if source.columns]
    counts = Counter(guess for _, guess in guesses if guess != EMPTY)
    [(usual, _)] = counts.most_common(1) or [(EMPTY, 0)]
    if usual in (EMPTY, group.columns[index].guess):
        return ""
    others = [f"{name} ({guess})" for name, guess in guesses if guess not in (EMPTY, usual)]
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f"{usual} but for {others[0]}{more}"
