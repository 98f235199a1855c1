"""Rows as text in aligned columns."""

from collections.abc import Sequence

from common.escaping import printable


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns; control characters are escaped, because a terminal would obey them."""
    cells = [[printable(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines) + "\n"
