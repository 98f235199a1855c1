"""From what runs of two sizes took to rates and costs of a row, without the starts; pure."""

import os
import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.spending import Spent

# With less time between a part and all of the rows, a rate says more about starts than about rows.
_LEAST_S = 0.5
# Processor time is counted in ticks, and the broker's is that of the whole round.
_TOLERANCE = 1.05

# What the runs of each number of rows took, a round each. The two largest numbers are a part of the rows and all.
Rounds = Mapping[int, Sequence[Spent]]


def rates_of(found: Rounds) -> list[float]:
    """Rows per second of each round: the rows that all are more than a part, by the time that they take longer."""
    part, whole = sorted(found)[-2:]
    # A start can only be held up, so the least that a part took is what starts and first rows need.
    part_s = min(spent.took_s for spent in found[part])
    return [(whole - part) / took_s if (took_s := spent.took_s - part_s) > 0 else 0.0 for spent in found[whole]]


def cost_of(found: Rounds) -> tuple[float, float]:
    """A core's seconds for a million rows, of the processes and of the broker, by the medians of the rounds."""
    part, whole = sorted(found)[-2:]
    per_million = 1e6 / (whole - part)

    def more(of: Callable[[Spent], float]) -> float:
        return statistics.median(map(of, found[whole])) - statistics.median(map(of, found[part]))

    return more(lambda spent: spent.cpu_s) * per_million, more(lambda spent: spent.broker_s) * per_million


def is_lost_in_noise(found: Rounds, cores: int = os.cpu_count() or 1) -> bool:
    """Whether a rate says nothing: too little time lies between the sizes, or it needs more cores than there are."""
    part, whole = sorted(found)[-2:]
    median = statistics.median(rates_of(found))
    if median <= 0 or (whole - part) / median < _LEAST_S:
        return True
    return median / 1e6 * sum(cost_of(found)) > cores * _TOLERANCE
