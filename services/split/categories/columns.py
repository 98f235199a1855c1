"""Finding the columns of a split in a schema, and suggesting what was meant where one is missing. Pure."""

import difflib
import unicodedata
from collections.abc import Sequence

from common.rows.schema import Schema
from services.split.categories.labels import label_of
from services.split.categories.splits import Column, Split

# More columns, and longer names, are not compared: comparing takes quadratic time.
_COMPARED_COLUMNS = 2_000
_COMPARED_LENGTH = 200
_SHOWN_COLUMNS = 8
_SHOWN_LENGTH = 60
# What may separate names where DELIMITER does not.
_MARKS = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "pipes"}


def find_column(column: Column, schema: Schema) -> int | None:
    """The column's index, None where it is missing; of several with one name, the first."""
    if isinstance(column.ref, int):
        return column.ref - 1 if 1 <= column.ref <= len(schema.columns) else None
    return schema.columns.index(column.ref) if column.ref in schema.columns else None


def missing_columns(split: Split, schema: Schema) -> list[str]:
    """A line for each of the split's columns that the schema lacks: the split then rejects every row."""
    return [explain_missing_column(column, schema) for column in split.columns if find_column(column, schema) is None]


def doubled_columns(split: Split, schema: Schema) -> list[str]:
    """A line for each of the split's columns whose name the schema has more than once."""
    lines = []
    for column in split.columns:
        positions = [number for number, name in enumerate(schema.columns, 1) if name == column.ref]
        if len(positions) > 1:
            others = " or ".join(f"#{number}" for number in positions[1:4])
            lines.append(
                f"column {label_of(column)} is there {len(positions)} times: the first one is used, #{positions[0]}. "
                f"For another, name it by position, as in {others}"
            )
    return lines


def explain_missing_column(column: Column, schema: Schema) -> str:
    """Say in one line that a column is missing, and which one may be meant."""
    missing, names = f"no column {label_of(column)}", schema.columns
    if isinstance(column.ref, int):
        return f"{missing}: there {'is' if len(names) == 1 else 'are'} {len(names)}"
    if schema.header is None:
        return f"{missing}: HEADER=none, so the columns are #1 to #{len(names)}"
    if within := _find_within(column.ref, names):
        return f"{missing}: {within}: is DELIMITER right?"
    index, why = _nearest(column.ref, names)
    if index is None:
        return f"{missing}: there {'is' if len(names) == 1 else 'are'} {quote_names(names)}"
    return f"{missing}: did you mean {quote_name(names[index])}{why}, which is #{index + 1}?"


def quote_names(names: Sequence[str]) -> str:
    """Column names in one line."""
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return ", ".join(map(quote_name, names[:_SHOWN_COLUMNS])) + more


def quote_name(name: str) -> str:
    """A column's name in quotes, with an escape for every character that cannot be seen by itself."""
    text = name if len(name) <= _SHOWN_LENGTH else name[: _SHOWN_LENGTH - 1] + "…"
    return '"' + "".join(map(_shown, text)).replace('"', '""') + '"'


def _shown(sign: str) -> str:
    is_seen = sign.isprintable() and not unicodedata.combining(sign)
    return sign if is_seen else sign.encode("unicode_escape", "surrogatepass").decode()


def _find_within(wanted: str, names: Sequence[str]) -> str:
    """Say which name holds the wanted one between other separators: several names were read as one."""
    for name in names[:_COMPARED_COLUMNS]:
        for mark, marks in _MARKS.items():
            if mark in name and wanted in [part.strip(" \"'") for part in name.split(mark)]:
                return f"{quote_name(name)} has it between {marks}"
    return ""


def _nearest(wanted: str, names: Sequence[str]) -> tuple[int | None, str]:
    """The index of the name that may be meant, and how it differs where that is hard to see."""
    if len(wanted) > _COMPARED_LENGTH:
        return None, ""
    compared = {index: name for index, name in enumerate(names[:_COMPARED_COLUMNS]) if len(name) <= _COMPARED_LENGTH}
    for reduce, why in ((_in_one_form, _other_form(wanted)), (_without_blanks, " with other blanks"), (_folded, "")):
        for index, name in compared.items():
            if reduce(name) and reduce(name) == reduce(wanted):
                return index, why
    close = difflib.get_close_matches(_folded(wanted), [_folded(name) for name in compared.values()], n=1)
    indexes = [index for index, name in compared.items() if close and _folded(name) == close[0]]
    return (indexes[0], "") if indexes else (None, "")


def _in_one_form(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _other_form(wanted: str) -> str:
    form = "NFC" if wanted == unicodedata.normalize("NFC", wanted) else "NFD"
    return f" in another Unicode form (SPLIT_BY has {form})"


def _without_blanks(text: str) -> str:
    """The text without what cannot be seen: blanks of all kinds, and characters of no width."""
    signs = (
        sign for sign in _in_one_form(text) if not sign.isspace() and unicodedata.category(sign) not in {"Cf", "Cc"}
    )
    return "".join(signs)


def _folded(text: str) -> str:
    return _without_blanks(unicodedata.normalize("NFKC", text)).casefold()
