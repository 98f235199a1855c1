"""`python -m benchmarks.plots`: draws docs/plots/*.svg from what the benchmarks wrote to benchmarks/results."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from benchmarks.kept import kept

_PLOTS = Path(__file__).parents[1] / "docs" / "plots"


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the plots beside each other: what is drawn against which count, and what it is called."""

    count: str
    title: str
    unit: str
    columns: dict[str, str]


_COST = {"us_per_row": "all three services"}
_FIGURES = {
    "categories": (
        Panel("categories", "a row", "µs", {"row": "a row, one category at a time"}),
        Panel(
            "categories",
            "a file",
            "µs",
            {
                "new_file": "made",
                "append": "appended to, worst order",
                "checkpoint_file": "in a checkpoint",
                "start_file": "at a start",
            },
        ),
        Panel("categories", "memory", "MiB", {"memory_mib": "beyond a process just begun"}),
    ),
    "files": (
        Panel(
            "files",
            "all files",
            "s",
            {"read_s": "read, 100 rows each", "again_s": "looked at again", "ready_s": "to ready"},
        ),
        Panel("files", "a row appended", "s", {"appended_s": "until it is in Kafka"}),
        Panel("files", "nothing to do", "% of a core", {"idle_percent": "ingest"}),
        Panel("files", "memory", "MiB", {"memory_mib": "ingest"}),
    ),
    "latency": (
        Panel("slower_percent", "from append to its file", "ms", {"latency_ms": "a row of 10,000 each second"}),
    ),
    "memory": (
        Panel("rows", "steady", "MiB", {f"{name}_steady": name for name in ("ingest", "split", "sink")}),
        Panel("rows", "peak", "MiB", {f"{name}_peak": name for name in ("ingest", "split", "sink")}),
    ),
    "growth": (
        Panel("rows", "a row", "µs", _COST),
        Panel("row_bytes", "bytes", "MB/s", {"mb_per_s": "all three services"}),
        Panel("partitions", "a row", "µs", _COST),
    ),
}
# What a count is called, where that is not its name.
_COUNTS = {"slower_percent": "% of the rows that are slower", "row_bytes": "bytes of a row"}


def draw(name: str, panels: Sequence[Panel], lines: Sequence[Mapping[str, Any]]) -> None:
    """Draw one file of results."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.4), layout="constrained", squeeze=False)
    for panel, axis in zip(panels, axes[0], strict=True):
        counted = [line for line in lines if panel.count in line]
        for column, label in panel.columns.items():
            x, y = ([line[each] for line in counted] for each in (panel.count, column))
            axis.plot(x, y, marker="o", label=label)
        axis.set(
            title=panel.title,
            xlabel=_COUNTS.get(panel.count, panel.count),
            ylabel=panel.unit,
            xscale="log",
            yscale="log",
        )
        axis.grid(visible=True, which="major", alpha=0.3)
        # Decades only: a curve that is flat looks it.
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, high / 20), high * 2)
        axis.legend(fontsize="small")
    _PLOTS.mkdir(exist_ok=True)
    figure.savefig(_PLOTS / f"{name}.svg", metadata={"Date": None})


def draw_rates(rates: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Draw how many rows a second each contender does, at each stage."""
    names = list(rates)[::-1]
    stages = list(next(iter(rates.values())))
    figure, axes = plt.subplots(1, len(stages), figsize=(4 * len(stages), 3.4), layout="constrained", sharey=True)
    for stage, axis in zip(stages, axes, strict=True):
        # Without a bar where a rate is lost in the noise.
        medians = [statistics.median(rates[name].get(stage) or [0]) for name in names]
        colours = ["tab:blue" if name.startswith("nacre") else "tab:gray" for name in names]
        bars = axis.barh(names, medians, color=colours)
        axis.bar_label(bars, [f"{median:,.0f}" if median else "" for median in medians], padding=2, fontsize="small")
        axis.set(title=stage, xlabel="rows/s", xlim=(0, 1.35 * max(medians)))
        axis.xaxis.set_major_locator(MaxNLocator(3))
    figure.savefig(_PLOTS / "throughput.svg", metadata={"Date": None})


def main() -> int:
    """Draw all there are results of."""
    # The same results give the same bytes, and text that can be searched.
    mpl.rcParams |= {"svg.hashsalt": "nacre", "svg.fonttype": "none"}
    for name, panels in _FIGURES.items():
        if lines := kept(name):
            draw(name, panels, lines)
    if found := kept("throughput"):
        draw_rates(found["rates"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
