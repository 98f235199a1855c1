"""Tables in Markdown, as docs/performance.md has them."""

from collections.abc import Iterable, Sequence


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a row is its name and a cell for each column."""
    return heading(title, columns) + "".join(map(line, rows))


def heading(title: str, columns: Sequence[str]) -> str:
    """What a table begins with, for those that print each row once it is measured."""
    return line((title, *columns)) + "| --- " * (1 + len(columns)) + "|\n"


def line(cells: Sequence[str]) -> str:
    """One row."""
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells) + "\n"
