"""How two schemas differ, in words."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from types import MappingProxyType

from common.rows.schema import Schema


def differences(first: Schema, other: Schema) -> list[str]:
    """How the other schema differs from the first, one phrase for each difference."""
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


def find_closest(schema: Schema, others: Iterable[Schema]) -> Schema | None:
    """The schema that this one resembles most, the first among equals; None if it is close to none.

    Two schemas are close if they may be meant to be the same: they share at least half of their names, or all but one.
    """
    names = set(schema.columns)
    best, closest = 0.0, None
    for other in others:
        theirs = set(other.columns)
        shared, most = len(names & theirs), max(len(names), len(theirs))
        is_close = 2 * shared >= most or shared >= most - 1 > 0
        if is_close and shared / most > best:
            best, closest = shared / most, other
    return closest


def _matched(names: Sequence[str], others: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that each match one of the others, and those that match none."""
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
    """A column's name in a line: one that is empty, long, not printable or edged with blanks is quoted or shortened."""
    text = name if name and name == name.strip() and name.isprintable() else repr(name)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"
