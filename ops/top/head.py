"""What stands above everything else: the topology, the stages, what is sent and what is safe. Pure."""

from collections.abc import Iterator

from rich.text import Text

from common.escaping import printable
from ops.status.figures import StageFigures
from ops.status.report import sources_line, stage_lines
from ops.status.verdict import Verdict
from ops.top.cells import fitted
from ops.view.view import View

COLOURS = {Verdict.OK: "green", Verdict.BEHIND: "yellow", Verdict.STALLED: "red", Verdict.STOPPED: "red"}
_TOPICS = ("rows", "categorized")
_END = "files"
_UNKNOWN = "-"
_DOT = " · "
_SECONDS = 10


def head_of(view: View, where: str, width: int, *, is_old: bool = False) -> Text:
    """The head, whose lines are at most so wide. The verdict is not known while figures are old."""
    found = view.figures
    verdict = Text(" not known", "bold red") if is_old else Text(f" {found.verdict}", f"bold {COLOURS[found.verdict]}")
    title = Text(fitted(where, width - len(verdict)), "bold").append_text(verdict)
    lines = [title, *_topology(view, width)]
    lines += [Text(fitted(line, width)) for line in (*stage_lines(found), safe_line(view, _DOT), sources_line(found))]
    return Text("\n", no_wrap=True).join(lines)


def safe_line(view: View, separator: str) -> str:
    """What is sent apart from what is safe, and how old the oldest row is that is not."""
    safe = f"not known: {view.ledgers_trouble or 'no ledgers at hand'}"
    if view.safe_rows is not None:
        safe = f"{view.safe_rows:,}"
    if view.balance:
        splits = len(view.balance)
        whole = sum(each.rows + each.replayed for each in view.balance)
        safe += f" of {whole:,} in {splits} split{'' if splits == 1 else 's'}"
        if surplus := sum(each.surplus for each in view.balance):
            safe += f", {surplus:,} more than was read"
    return separator.join(
        (f"sent {view.sent_rows:,}", f"safe {safe}", f"oldest row not safe: {age(view.oldest_unsafe_s)}")
    )


def age(seconds: float | None) -> str:
    """As people say it; tenths while it is short."""
    if seconds is None:
        return _UNKNOWN
    if not seconds:
        return "none"
    if seconds < _SECONDS:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _topology(view: View, width: int) -> Iterator[Text]:
    """The topology: ingest → rows → split → categorized → sink → files, each with its rate, or what waits in it."""
    stages = view.figures.stages
    cell = min(width // 6, 24)
    names, figures = Text(), Text()
    for stage, topic in zip(stages, (*_TOPICS, _END), strict=True):
        names.append(_node(stage.name, cell), COLOURS[stage.verdict])
        names.append(_node(topic, cell) if topic != _END else fitted(topic, cell))
        figures.append(fitted(_rate(stage), cell), "bold")
        figures.append(fitted(_held(view, topic), cell))
    yield names
    yield figures


def _node(name: str, width: int) -> str:
    shown = printable(name)
    return f"{shown} {'─' * max(0, width - len(shown) - 3)}▶ "


def _rate(stage: StageFigures) -> str:
    return _UNKNOWN if stage.rows_per_s is None else f"{stage.rows_per_s:,.0f}/s"


def _held(view: View, topic: str) -> str:
    if topic == _END:
        return _UNKNOWN if view.category_count is None else f"{view.category_count:,} categories"
    reader = view.figures.stages[1 + _TOPICS.index(topic)]
    return f"{'' if reader.is_exact else '~'}{reader.lag_rows or 0:,} wait"
