"""What the demo shows: bars while it runs, a table and the proof at its end."""

import math
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from ops.demo.watch import Standings, Stood

STAGES = ("ingest", "split", "sink")
_MAX_SHOWN_CATEGORIES = 30
_MAX_SHOWN_OF_MANY = 8
_MOVES_OF_A_PACE = 3
_PACE_WIDTH = len("1,000,000 rows/s")


class Pace:
    """Rows per second of one stage, from the last look that saw none to the last that saw progress."""

    def __init__(self) -> None:
        self._began_s = math.nan
        self._moved_s = math.nan
        self._done = 0
        self._moves = 0

    def see(self, at_s: float, done: int) -> None:
        """Note how many rows were done at a moment."""
        if not done:
            self._began_s = at_s
        elif done > self._done:
            self._done, self._moved_s = done, at_s
            self._moves += 1

    @property
    def rows_per_s(self) -> int | None:
        """None until enough looks have seen progress: between two looks the stage may have been idle."""
        took_s = self._moved_s - self._began_s
        return round(self._done / took_s) if self._moves >= _MOVES_OF_A_PACE and took_s > 0 else None


class Bars:
    """A bar per stage on a terminal; elsewhere a line per stage when it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._progress = Progress(
            TextColumn("  [bold]{task.description:7}"),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="green"),
            TextColumn("{task.completed:,.0f} / {task.total:,.0f} rows", justify="right"),
            TextColumn("{task.fields[pace]}", justify="right", style="dim"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._paces = {stage: Pace() for stage in STAGES}
        self._reported: set[str] = set()

    def __enter__(self) -> Self:
        for stage in STAGES:
            self._tasks[stage] = self._progress.add_task(stage, total=None, pace="", visible=False)
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()

    def show(self, standings: Standings, finished: Sequence[str]) -> None:
        """Show these standings; `finished` are the stages that have ended."""
        for stage in STAGES:
            stood: Stood = getattr(standings, stage)
            pace = self._paces[stage]
            pace.see(standings.at_s, stood.done)
            text = "" if pace.rows_per_s is None else f"{pace.rows_per_s:,} rows/s"
            if self._live:
                self._progress.update(
                    self._tasks[stage],
                    completed=stood.done,
                    total=stood.total,
                    pace=f"{text:>{_PACE_WIDTH}}",
                    visible=True,
                )
            elif stage not in self._reported:
                if stage not in finished or stood.done < stood.total:
                    # Stages are reported in their order, so the later ones wait.
                    return
                self._reported.add(stage)
                self._console.print(f"  {stage:7} {stood.done:,} rows{', ' * bool(text)}{text}")


def category_table(counts: Mapping[str, Sequence[tuple[str, int]]]) -> Table:
    """A line per split: its files, their rows, and the rows of each category."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("split", style="bold")
    table.add_column("files", justify="right")
    table.add_column("rows", justify="right")
    table.add_column("rows per category", ratio=1)
    for split, categories in counts.items():
        rows = sum(count for _, count in categories)
        table.add_row(split, f"{len(categories):,}", f"{rows:,}", _compact(categories))
    return table


def _compact(categories: Sequence[tuple[str, int]]) -> Text:
    """`M=1,528 F=1,307`: every category where there are few, else those with the most rows."""
    shown = categories
    if len(categories) > _MAX_SHOWN_CATEGORIES:
        shown = sorted(categories, key=lambda item: -item[1])[:_MAX_SHOWN_OF_MANY]
    text = Text()
    for name, count in shown:
        if name:
            text.append(name, "cyan").append(f"={count:,} ")
    if len(shown) < len(categories):
        text.append(f"and {len(categories) - len(shown):,} more", "dim")
    return text
