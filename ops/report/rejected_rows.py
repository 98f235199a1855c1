"""The first rows of rejected.csv, as far as its ledger knows the file."""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

# By default, the csv module refuses fields above 128 KiB.
csv.field_size_limit(2**31 - 1)

MOST_SHOWN = 20
# Latin-1 maps every byte to one character and back.
_BYTES_AS_TEXT = "latin-1"
_MOST_CHARACTERS = 300
_COLUMNS = ("source", "line", "offset", "split", "reason", "row")


class RejectedRow(Struct, frozen=True):
    """A rejected row as text, cut after some characters; `code` is "" in a file that format 1 began."""

    source: str
    line: str
    split: str
    code: str
    reason: str
    row: str
    size: int
    is_cut: bool


def first_rejected(path: Path, length: int, most: int = MOST_SHOWN) -> list[RejectedRow]:
    """The first rows of the file, of whose first `length` bytes no more are looked at. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return read_rejected(_lines(file, length), most)


def read_rejected(lines: Iterator[str], most: int) -> list[RejectedRow]:
    """Rows of these lines of CSV, which are decoded as latin-1; a last one that is cut off is left out."""
    reader = csv.reader(lines)
    try:
        header = next(reader, [])
        if not set(_COLUMNS) <= set(header):
            return []
        found: list[RejectedRow] = []
        for fields in reader:
            if len(found) >= most or len(fields) != len(header):
                break
            found.append(_row(dict(zip(header, fields, strict=True))))
    except csv.Error:
        return []
    return found


def _lines(file: BinaryIO, length: int) -> Iterator[str]:
    left = length
    while left > 0 and (line := file.readline(left)):
        left -= len(line)
        yield line.decode(_BYTES_AS_TEXT)


def _row(fields: Mapping[str, str]) -> RejectedRow:
    raw = fields["row"].encode(_BYTES_AS_TEXT)
    # A character has four bytes at most.
    text = raw[: 4 * _MOST_CHARACTERS].decode(errors="backslashreplace")
    row = text[:_MOST_CHARACTERS]
    source, split, reason = (_text(fields[name]) for name in ("source", "split", "reason"))
    is_cut = row != text or len(raw) > 4 * _MOST_CHARACTERS
    return RejectedRow(source, fields["line"], split, fields.get("code", ""), reason, row, len(raw), is_cut)


def _text(latin: str) -> str:
    return latin.encode(_BYTES_AS_TEXT).decode(errors="backslashreplace")
