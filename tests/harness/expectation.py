"""What the files must hold, from the input alone: no code of the services is used here."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

Category = Callable[[bytes], str]

# Rejected rows may be longer than the csv module's default limit.
csv.field_size_limit(2**31 - 1)


def path_by(folder: str, *columns: int) -> Category:
    """The path of a plain row's file: these columns' fields, as they are."""

    def path(row: bytes) -> str:
        fields = row.split(b",")
        return "/".join([folder, *(fields[column].decode() for column in columns)]) + ".csv"

    return path


def path_by_bin(folder: str, column: int, step: str) -> Category:
    """The path of a plain row's file: the lower edge of the bin that a number falls into."""

    def path(row: bytes) -> str:
        return f"{folder}/{Decimal(row.split(b',')[column].decode()) // Decimal(step) * Decimal(step)}.csv"

    return path


# How the abalone data set is split: SPLIT_BY's pieces, and where they put a row.
ABALONE: Mapping[str, Category] = {
    "*": lambda _row: "all.csv",
    "Sex": path_by("Sex", 0),
    "Rings:int": path_by("Rings", 8),
    "Sex+Rings": path_by("Sex+Rings", 0, 8),
    "Length:float/0.1": path_by_bin("Length", 1, "0.1"),
}


def expected_files(source: bytes, categories: Iterable[Category], eol: bytes = b"\n") -> dict[str, bytes]:
    """The files of one source whose rows hold no line breaks: a filter over its lines for each split."""
    header, *rows = source.removesuffix(eol).split(eol)
    lines: dict[str, list[bytes]] = {}
    for category in categories:
        for row in rows:
            lines.setdefault(category(row), [header + eol]).append(row + eol)
    return {path: b"".join(content) for path, content in lines.items()}


def rows_of(files: Mapping[str, bytes], start: str, eol: bytes = b"\n") -> list[bytes]:
    """The rows, without headers, of every file whose path has this prefix."""
    found: list[bytes] = []
    for path in sorted(path for path in files if path.startswith(start)):
        found += files[path].removesuffix(eol).split(eol)[1:]
    return found


def rejections(content: bytes) -> list[dict[str, str]]:
    """The lines of rejected.csv; each character of the column `row` is a byte."""
    return list(csv.DictReader(io.StringIO(content.decode("latin-1"), newline="")))
