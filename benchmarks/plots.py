"""`python -m benchmarks.plots`: draws docs/plots/*.svg from what the benchmarks wrote to benchmarks/results."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

_RESULTS = Path(__file__).parent / "results"
_PLOTS = Path(__file__).parents[1] / "docs" / "plots"


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the plots beside each other: what is drawn against the count, and what it is called."""

    title: str
    unit: str
    columns: dict[str, str]


_CATEGORIES = (
    Panel("a row", "µs", {"row": "a row, ten categories at a time"}),
    Panel(
        "a file",
        "µs",
        {
            "new_file": "made",
            "append": "appended to, worst order",
            "checkpoint_file": "in a checkpoint",
            "start_file": "at a start",
        },
    ),
    Panel("memory", "MiB", {"memory_mib": "beyond a process just begun"}),
)
_FILES = (
    Panel("all files", "s", {"read_s": "read, 100 rows each", "again_s": "looked at again", "ready_s": "to ready"}),
    Panel("a row appended", "s", {"appended_s": "until it is in Kafka"}),
    Panel("nothing to do", "% of a core", {"idle_percent": "ingest"}),
    Panel("memory", "MiB", {"memory_mib": "ingest"}),
)


def draw(name: str, count: str, panels: Sequence[Panel]) -> None:
    """Draw one file of results."""
    lines: list[dict[str, Any]] = json.loads((_RESULTS / f"{name}.json").read_bytes())
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.4), layout="constrained")
    for panel, axis in zip(panels, axes, strict=True):
        for column, label in panel.columns.items():
            axis.plot([line[count] for line in lines], [line[column] for line in lines], marker="o", label=label)
        axis.set(title=panel.title, xlabel=count, ylabel=panel.unit, xscale="log", yscale="log")
        axis.grid(visible=True, which="major", alpha=0.3)
        # Decades only: a curve that is flat looks it.
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, high / 20), high * 2)
        axis.legend(fontsize="small")
    _PLOTS.mkdir(exist_ok=True)
    figure.savefig(_PLOTS / f"{name}.svg", metadata={"Date": None})


def main() -> int:
    """Draw all there are results of."""
    # The same results give the same bytes, and text that can be searched.
    mpl.rcParams |= {"svg.hashsalt": "nacre", "svg.fonttype": "none"}
    for name, count, panels in (("categories", "categories", _CATEGORIES), ("files", "files", _FILES)):
        if (_RESULTS / f"{name}.json").exists():
            draw(name, count, panels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
