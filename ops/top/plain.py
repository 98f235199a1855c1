"""A view as lines, for pipes. Pure."""

from collections.abc import Iterator, Sequence

from ops.status.report import lines_of
from ops.text_table import text_table
from ops.top.head import safe_line
from ops.top.panels import EVERY_SPLIT
from ops.view.view import SplitBalance, View

_MOST_SHOWN = 10


def plain_lines(view: View, where: str) -> Iterator[str]:
    """What `nacre status` prints, and below that what is safe, categories, rejected rows, the balance and receipts."""
    yield from lines_of(view.figures, where)
    yield ""
    # A pipe may have an encoding without the signs that a terminal has.
    yield safe_line(view, "; ")
    yield from _categories(view)
    if view.rejected:
        yield ""
        rows = [(split or EVERY_SPLIT, code, f"{count:,}") for (split, code), count in view.rejected.items()]
        yield from _table(("split", "code", "rejected"), rows)
    if view.balance:
        yield ""
        names = ("rows", "replayed", "in_files", "rejected", "rejected_and_replayed")
        balances = [
            (each.split, *(f"{getattr(each, name):,}" for name in names), _missing(each)) for each in view.balance
        ]
        headings = ("balance", "read", "replayed", "in files", "rejected", "rejected and replayed", "under way")
        yield from _table(headings, balances)
    yield from _receipts(view)


def _missing(balance: SplitBalance) -> str:
    return f"{balance.lost:,} lost" if balance.lost else f"{max(0, balance.missing):,}"


def _categories(view: View) -> Iterator[str]:
    if not view.categories:
        return
    yield ""
    shown = view.categories[:_MOST_SHOWN]
    yield from _table(("split", "category", "rows"), [(each.split, each.category, f"{each.rows:,}") for each in shown])
    if (left := (view.category_count or 0) - len(shown)) > 0:
        yield f"and {left:,} more"


def _receipts(view: View) -> Iterator[str]:
    if not view.receipts:
        return
    yield ""
    rows = [(f"{each.rows:,}", f"{each.rejected:,}", each.source) for each in view.receipts[:_MOST_SHOWN]]
    yield from _table(("rows", "rejected", "receipt of"), rows)
    if (left := view.receipt_count - len(rows)) > 0:
        yield f"and {left:,} more"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from text_table(headings, rows).splitlines()
