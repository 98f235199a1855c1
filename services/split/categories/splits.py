"""The setting SPLIT_BY as a value: its splits, their columns, and the type that each column is read as.

`[name=]column[:type][+column[:type]…]`, or `[name=]*` for everything in one file; several separated by commas.
A column is a name or a position (`#1`). Types: `text` (the default), `int`, `float`, `float/STEP` (bins of that width).
Double quotes go around a name that holds one of `, + : = "`, or that looks like `*` or `#1`; a quote inside is doubled.
"""

import re
from decimal import Decimal

from msgspec import Struct

from common.protocol.position import HeldSplit, digest, digest_splits


class Text(Struct, frozen=True):
    """The field as it is."""


class Int(Struct, frozen=True):
    """A whole number: 7, 07 and +7 are one category."""


class Float(Struct, frozen=True):
    """A decimal number: 0.5 and 5e-1 are one category; with a step, all of a bin are."""

    step: Decimal | None = None


Kind = Text | Int | Float


class Column(Struct, frozen=True):
    """One column of a split. `ref` is its name, or its position counted from 1."""

    ref: str | int
    kind: Kind = Text()

    @property
    def label(self) -> str:
        """The reference as people write it."""
        return f"#{self.ref}" if isinstance(self.ref, int) else self.ref


class Split(Struct, frozen=True):
    """One way to split the rows. Without columns it is the identity: all rows in one file."""

    name: str
    columns: tuple[Column, ...]

    @property
    def definition(self) -> str:
        """What SPLIT_BY says behind the name, always written the same way."""
        return "+".join(map(_written, self.columns)) if self.columns else "*"

    @property
    def text(self) -> str:
        """The split as SPLIT_BY has it, with its name where that is not the default."""
        return (
            self.definition if self.name == _default_name(self.columns) else f"{_quoted(self.name)}={self.definition}"
        )


_POSITION = re.compile(r"#[1-9][0-9]{0,5}")
_DIGITS = re.compile(r"#[0-9]+")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_STEP = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_TO_QUOTE = re.compile(r'[,+:="]|^#[0-9]+$|^\*$|^$|^[ \t\r\n]|[ \t\r\n]$')
_STEP_LENGTH_LIMIT = 30
_SHOWN_LENGTH_LIMIT = 80
_BLANKS = " \t\r\n"
_TYPES = "text, int, float or float/STEP"


def parse_split_by(text: str) -> tuple[Split, ...]:
    """Read SPLIT_BY. Raises ValueError, one line: what is wrong, in which piece, what to do."""
    if not text.strip(_BLANKS):
        raise ValueError("SPLIT_BY is empty: name a column, as in SPLIT_BY=Sex, or * for one file of all rows")
    if text.count('"') % 2:
        raise ValueError(f"a double quote is not closed in {_shown(text)}: close it, or double it inside a name")
    splits: dict[str, Split] = {}
    for piece in _cut(text, ","):
        split, rest = _split(piece)
        if split.name in splits:
            name = _bare(split.name)
            raise ValueError(f"two splits are named {name}: name one of them, as in x={_bare(rest)}")
        splits[split.name] = split
    return tuple(splits.values())


def kind_of_splits(text: str) -> str:
    """A digest that is the same for every SPLIT_BY with the same splits, in any order and spelling."""
    return digest_splits(HeldSplit(digest(split.name), digest(split.definition)) for split in parse_split_by(text))


def _split(piece: str) -> tuple[Split, str]:
    """Read one piece: the split, and the piece without its name."""
    if not piece:
        raise ValueError("a split is empty in SPLIT_BY: remove the comma too many, or name a column beside it")
    given, rest = _name(piece)
    columns = () if rest == "*" else tuple(_column(part, piece) for part in _cut(rest, "+"))
    name = given
    if name is None:
        name = _default_name(columns)
    if not name:
        raise ValueError(f"the split {_shown(piece)} has no name: put one before it, as in x={_bare(rest)}")
    return Split(name, columns), rest


def _name(piece: str) -> tuple[str | None, str]:
    """Take the name off a piece, None where it has none."""
    match _cut(piece, "="):
        case [rest]:
            return None, rest
        case [name, rest]:
            return _unquoted(name, piece), rest
    raise ValueError(f"more than one = in {_shown(piece)}: put double quotes around a name that holds =")


def _column(part: str, piece: str) -> Column:
    """Read `column[:type]`; `piece` is where it stands, for the message."""
    match _cut(part, ":"):
        case [ref]:
            return Column(_ref(ref, piece))
        case [ref, kind]:
            return Column(_ref(ref, piece), _kind(kind, piece))
    raise ValueError(f"more than one : in {_shown(part)}: put double quotes around a name that holds :")


def _ref(text: str, piece: str) -> str | int:
    """Read a column's reference: a position, or a name."""
    if not text:
        raise ValueError(f'a column is missing in {_shown(piece)}: write its name there, "" if its name is empty')
    if _POSITION.fullmatch(text):
        return int(text[1:])
    if _DIGITS.fullmatch(text):
        raise ValueError(
            f"{_shown(text)} is no position in {_shown(piece)}: count from #1, without leading zeros; "
            "double quotes go around a name that looks like one"
        )
    if text == "*":
        raise ValueError(
            f"* stands beside something else in {_shown(piece)}: write it alone, as in *, or x=*; "
            "double quotes go around a column of that name"
        )
    return _unquoted(text, piece)


def _kind(text: str, piece: str) -> Kind:
    """Read a type."""
    word, slash, step = (part.strip(_BLANKS) for part in text.partition("/"))
    match word, slash:
        case "text", "":
            return Text()
        case "int", "":
            return Int()
        case "float", "":
            return Float()
        case "float", "/":
            return Float(_step(step, piece))
    raise ValueError(
        f"unknown type {_shown(text)} in {_shown(piece)}: use {_TYPES}, or put double quotes around a name that holds :"
    )


def _step(text: str, piece: str) -> Decimal:
    """Read the width of a bin."""
    if len(text) <= _STEP_LENGTH_LIMIT and _STEP.fullmatch(text):
        step = Decimal(text)
        if step > 0:
            return step
    raise ValueError(
        f"the step {_shown(text)} in {_shown(piece)} is no positive decimal number of at most {_STEP_LENGTH_LIMIT} "
        "characters: write it as in float/0.1"
    )


def _unquoted(text: str, piece: str) -> str:
    """Undo the double quotes of a name, if it has them."""
    if '"' not in text:
        return text
    if match := _QUOTED.fullmatch(text):
        return match[1].replace('""', '"')
    raise ValueError(
        f"a double quote stands inside the name {_shown(text)} in {_shown(piece)}: "
        "put the whole name in double quotes and double those inside"
    )


def _cut(text: str, separator: str) -> list[str]:
    """Cut at the separators outside double quotes; surrounding blanks go. The quotes in `text` are paired."""
    outside = re.findall(rf'{re.escape(separator)}|(?:"[^"]*"|[^"{re.escape(separator)}])+', text)
    parts = [""]
    for token in outside:
        if token == separator:
            parts.append("")
        else:
            parts[-1] = token.strip(_BLANKS)
    return parts


def _default_name(columns: tuple[Column, ...]) -> str:
    return "+".join(column.label for column in columns) if columns else "all"


def _written(column: Column) -> str:
    """Write a column as SPLIT_BY has it."""
    ref = column.label if isinstance(column.ref, int) else _quoted(column.ref)
    match column.kind:
        case Int():
            return f"{ref}:int"
        case Float(step=Decimal() as step):
            return f"{ref}:float/{step:f}"
        case Float():
            return f"{ref}:float"
        case Text():
            return ref


def _quoted(text: str) -> str:
    """Put a name in double quotes where it needs them."""
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def _shown(text: str) -> str:
    """Quote a piece of the setting for a one-line message."""
    return repr(text if len(text) <= _SHOWN_LENGTH_LIMIT else text[: _SHOWN_LENGTH_LIMIT - 1] + "…")


def _bare(text: str) -> str:
    """Show a name without quotes where that keeps the message one line."""
    return text if text.isprintable() else _shown(text)
